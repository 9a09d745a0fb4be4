/**
 * ADD: a container's interface on the bridge, from config to result. Whatever fails takes back what was done.
 *
 * @module
 */
import type { CniInterface, CniResult, PluginCall } from "../../lib/cni/types.ts";
import { takeAddresses } from "../../lib/ipam/call.ts";
import type { Link } from "../../lib/netlink/link.ts";
import { configureContainer } from "../../lib/plugin/container.ts";
import { ensureForwarding } from "../../lib/plugin/forwarding.ts";
import { hostVethName } from "../../lib/plugin/identity.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { refuseExisting, requireLink } from "../../lib/plugin/link.ts";
import { type Namespaces, openNamespaces } from "../../lib/plugin/netns.ts";
import { routesToSet } from "../../lib/plugin/routes.ts";
import { Undo } from "../../lib/undo.ts";
import { type BridgeConfig, parseConfig } from "./config.ts";
import { ensureBridge, ensureGateways } from "./device.ts";
import { type Plan, planAddresses } from "./plan.ts";
import { attachVeth, settle } from "./wire.ts";

/** What the steps of one ADD share. */
interface Scene extends Omit<Namespaces, typeof Symbol.dispose> {
  readonly call: PluginCall;
  readonly kit: Kit;
  readonly config: BridgeConfig;
  readonly undo: Undo;
}

export async function add(call: PluginCall, kit: Kit): Promise<CniResult> {
  const config = parseConfig(call);
  using namespaces = openNamespaces(call.netns);
  const scene: Scene = { ...namespaces, call, kit, config, undo: new Undo() };
  try {
    return await attach(scene);
  } catch (error) {
    throw await scene.undo.unwind(error);
  }
}

async function attach(scene: Scene): Promise<CniResult> {
  const { call, config, netns, host, container, undo } = scene;
  refuseExisting(container, netns, call.ifname);
  const bridge = ensureBridge(host, config);
  // Attached before an address is taken: a full bridge is found first.
  const containerEnd = attachVeth(host, container, netns, { attachment: call.attachment, config, bridge, undo });
  const hostEnd = hostVethName(call.attachment);
  const gatewayLink =
    config.vlan === undefined && config.vlanTrunk.length === 0 ? bridge : await attachVlans(scene, bridge, hostEnd);
  const plan = config.ipamType === undefined ? undefined : await addresses(scene, config.ipamType);
  // Before the filter: the rules of published ports are made for the way that leads to the container.
  if (plan !== undefined) gateways(scene, gatewayLink, plan);
  const filter = await startFilter(scene, plan, hostEnd, containerEnd.mac);
  await scene.kit.foresee?.(foreseen(scene, [bridge.name, hostEnd], gatewayLink, plan));
  // The filter's program runs beside these, which do not wait.
  const hostLink = await beside(filter, () => {
    if (config.disableContainerInterface) return requireLink(host, hostEnd);
    const ips = plan?.ips ?? [];
    const routes = plan === undefined ? [] : routesToSet(plan.ips, plan.routes);
    const { enableDad } = config;
    configureContainer(container, netns, { link: containerEnd, ips, routes, enableDad });
    return settle(host, container, { bridge: gatewayLink, hostEnd, containerEnd, ips, enableDad });
  });
  return resultOf({ call, links: [bridge, hostLink, containerEnd], gatewayLink, plan });
}

/** Does `work` while `other` is under way, and returns when both are done; the failure of either is thrown then. */
async function beside<T>(other: { readonly done: Promise<void> }, work: () => T): Promise<T> {
  const [result] = await Promise.allSettled([new Promise<T>((resolve) => resolve(work())), other.done]);
  await other.done;
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

async function addresses({ call, config, undo }: Scene, ipamType: string): Promise<Plan> {
  return planAddresses(config, await takeAddresses(ipamType, call, undo), call.conf.dns);
}

function gateways(scene: Scene, link: Link, plan: Plan): void {
  ensureGateways(scene.host, link, scene.config, plan.gateways);
  for (const { address } of plan.gateways) ensureForwarding(address.family);
}

/** The link that carries the gateways' addresses: the VLAN's own, or the bridge. */
async function attachVlans(scene: Scene, bridge: Link, hostEnd: string): Promise<Link> {
  const { host, config } = scene;
  const { setPortVlans, ensureVlanGateway } = await import("./vlan.ts");
  setPortVlans(host, requireLink(host, hostEnd), config);
  return config.isGateway && config.vlan !== undefined ? ensureVlanGateway(host, bridge, config.vlan) : bridge;
}

/** Starts the masquerade and the guard against forged MAC addresses; `done` tells when they are in place. */
async function startFilter(
  scene: Scene,
  plan: Plan | undefined,
  hostVeth: string,
  mac: string,
): Promise<{ readonly done: Promise<void> }> {
  const { call, kit, config, undo } = scene;
  if (config.macSpoofCheck) {
    const { addSpoofCheck, removeSpoofCheck } = await import("./spoof.ts");
    undo.add("the MAC check", () => removeSpoofCheck(hostVeth));
    await addSpoofCheck(hostVeth, mac, call.attachment);
  }
  if (!config.ipMasq || plan === undefined) return { done: Promise.resolve() };
  const firewall = await kit.firewall(config.ipMasqBackend);
  undo.add("the masquerade", () => firewall.detach(call.attachment, ["masquerade"]));
  return { done: firewall.attach(call.attachment, { masquerade: { addresses: plan.ips.map((ip) => ip.address) } }) };
}

/** The result as far as it is known before the links are up. */
function foreseen({ call }: Scene, hosts: readonly string[], gatewayLink: Link, plan: Plan | undefined): CniResult {
  const interfaces = [...hosts.map((name) => ({ name })), { name: call.ifname, sandbox: call.netns }];
  return {
    interfaces: hosts.includes(gatewayLink.name) ? interfaces : [...interfaces, { name: gatewayLink.name }],
    ips: plan?.ips ?? [],
    routes: plan?.routes ?? [],
    dns: {},
  };
}

function resultOf(what: {
  readonly call: PluginCall;
  readonly links: readonly [Link, Link, Link];
  readonly gatewayLink: Link;
  readonly plan: Plan | undefined;
}): CniResult {
  const [bridge, hostEnd, containerEnd] = what.links;
  const interfaces: CniInterface[] = [
    describe(bridge),
    describe(hostEnd),
    { ...describe(containerEnd), sandbox: what.call.netns },
  ];
  if (what.gatewayLink !== bridge) interfaces.push(describe(what.gatewayLink));
  return {
    interfaces,
    ips: what.plan?.ips ?? [],
    routes: what.plan?.routes ?? [],
    dns: what.plan?.dns ?? what.call.conf.dns ?? {},
  };
}

function describe(link: Link): CniInterface {
  return { name: link.name, mac: link.mac, mtu: link.mtu };
}
