/**
 * ADD: a container's link to the host, from config to result. Whatever fails takes back what was done.
 *
 * @module
 */
import type { CniInterface, CniResult, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { takeAddresses } from "../../lib/ipam/call.ts";
import { addrAdd } from "../../lib/netlink/addr.ts";
import type { Link } from "../../lib/netlink/link.ts";
import { routeReplace } from "../../lib/netlink/route.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { configureContainer, doWithout } from "../../lib/plugin/container.ts";
import { ensureForwarding, ensureLooseReversePath } from "../../lib/plugin/forwarding.ts";
import { hostVethName } from "../../lib/plugin/identity.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { refuseExisting, requireLink } from "../../lib/plugin/link.ts";
import { type Namespaces, openNamespaces } from "../../lib/plugin/netns.ts";
import { createVeth, waitUntilUp } from "../../lib/plugin/veth.ts";
import { writeSysctls } from "../../lib/sys/files.ts";
import { Undo } from "../../lib/undo.ts";
import { type PtpConfig, parseConfig } from "./config.ts";
import { type Plan, planAddresses } from "./plan.ts";

/** What the steps of one ADD share. */
interface Scene extends Omit<Namespaces, typeof Symbol.dispose> {
  readonly call: PluginCall;
  readonly kit: Kit;
  readonly config: PtpConfig;
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
  const { call, config, netns, container, undo } = scene;
  refuseExisting(container, netns, call.ifname);
  // Before an address is taken: of two ADDs of one attachment at once, the kernel stops the second here.
  const containerEnd = createVeth(scene, { attachment: call.attachment, mtu: config.mtu }, undo);
  const plan = await addresses(scene);
  const masquerade = await startMasquerade(scene, plan);
  // The filter's program runs beside the links, which do not wait; the failure of either is thrown when both are done.
  const [links, rules] = await Promise.allSettled([
    new Promise<Link>((resolve) => resolve(wire(scene, containerEnd, plan))),
    masquerade.done,
  ]);
  if (rules.status === "rejected") throw rules.reason;
  if (links.status === "rejected") throw links.reason;
  const interfaces = [describe(links.value), { ...describe(containerEnd), sandbox: call.netns }];
  return { interfaces, ips: plan.ips, routes: plan.routes, dns: plan.dns };
}

async function addresses({ call, config, undo }: Scene): Promise<Plan> {
  return planAddresses(config.ipamType, await takeAddresses(config.ipamType, call, undo), call.conf.dns);
}

/** `done` tells when it is in place. */
async function startMasquerade(scene: Scene, plan: Plan): Promise<{ readonly done: Promise<void> }> {
  const { call, kit, config, undo } = scene;
  if (!config.ipMasq) return { done: Promise.resolve() };
  const firewall = await kit.firewall(config.ipMasqBackend);
  undo.add("the masquerade", () => firewall.detach(call.attachment, ["masquerade"]));
  return { done: firewall.attach(call.attachment, { masquerade: { addresses: plan.ips.map((ip) => ip.address) } }) };
}

/** Both ends with all that is on them, up and passing packets; returns the host's. */
function wire({ call, host, container, netns }: Scene, containerEnd: Link, plan: Plan): Link {
  const hostEnd = requireLink(host, hostVethName(call.attachment));
  configureHost(host, hostEnd, plan);
  const { ips, containerRoutes: routes } = plan;
  configureContainer(container, netns, { link: containerEnd, ips, routes, noPrefixRoute: true });
  for (const family of new Set(ips.map(({ address }) => address.address.family))) ensureForwarding(family);
  if (waitUntilUp(host, hostEnd.name) !== undefined) return hostEnd;
  throw new TsnetError(`${hostEnd.name} does not come up: its peer in the container is down`, {
    code: "io",
    op: "attach",
  });
}

/** The host's end has the gateways' addresses, and the ways to the container's lead there. */
function configureHost(host: RtSocket, link: Link, { gateways, hostRoutes }: Plan): void {
  const ipv6 = `net/ipv6/conf/${link.name}`;
  const hasIpv6 = gateways.some(({ address }) => address.family === 6);
  const sysctls = [
    // While the end's own link-local address is being probed for duplicates, the host cannot ask for the container's.
    [`${ipv6}/accept_dad`, "0"],
    ...(hasIpv6 ? ([[`${ipv6}/disable_ipv6`, "0"]] as const) : []),
  ] as const;
  writeSysctls(undefined, sysctls, doWithout);
  if (gateways.some(({ address }) => address.family === 4)) ensureLooseReversePath(link.name);
  for (const cidr of gateways) addrAdd(host, { index: link.index, cidr, noDad: true });
  for (const dst of hostRoutes) routeReplace(host, { dst, dev: link.index });
}

function describe({ name, mac, mtu }: Link): CniInterface {
  return { name, mac, mtu };
}
