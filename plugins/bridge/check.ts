/**
 * CHECK: whether what ADD made still stands. What others added beside it is fine.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { callIpam } from "../../lib/ipam/call.ts";
import { type Address, formatAddress, sameAddress } from "../../lib/net/address.ts";
import { addrList } from "../../lib/netlink/addr.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import { portOf, portVlanList } from "../../lib/netlink/port.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import {
  addressesOf,
  checkAddresses,
  checkFailed,
  checkMac,
  checkPresent,
  checkRoutes,
  previousResult,
} from "../../lib/plugin/check.ts";
import { isForwarding } from "../../lib/plugin/forwarding.ts";
import { hostVethName } from "../../lib/plugin/identity.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { openNamespaces } from "../../lib/plugin/netns.ts";
import { routesToSet } from "../../lib/plugin/routes.ts";
import { type BridgeConfig, parseConfig } from "./config.ts";
import { planAddresses } from "./plan.ts";

export async function check(call: PluginCall, kit: Kit): Promise<void> {
  const config = parseConfig(call);
  const result = previousResult(call);
  if (config.ipamType !== undefined) await callIpam(config.ipamType, call, "CHECK");
  checkLinks(call, config, result);
  await checkRules(call, kit, config, result);
}

function checkLinks(call: PluginCall, config: BridgeConfig, result: CniResult): void {
  using namespaces = openNamespaces(call.netns);
  const { host, container } = namespaces;
  const bridge = checkBridge(host, config, result);
  checkContainer(container, call, result);
  checkHostVeth(host, container, { call, config, bridge, result });
  checkOwnAddresses(container, call, config, result);
  checkGateways(host, bridge, config, result);
}

function checkBridge(host: RtSocket, config: BridgeConfig, result: CniResult): Link {
  const bridge = checkPresent(host, config.bridge, "bridge");
  if (bridge.kind !== "bridge") throw checkFailed(`${config.bridge} is ${bridge.kind ?? "hardware"}, wanted a bridge`);
  if (!bridge.up) throw checkFailed(`bridge ${config.bridge} is down, wanted up`);
  if (config.promisc && !bridge.promisc)
    throw checkFailed(`bridge ${config.bridge} is not promiscuous, wanted promiscMode`);
  checkMac(bridge, result.interfaces.find((one) => one.name === config.bridge && one.sandbox === undefined)?.mac);
  return bridge;
}

function checkContainer(container: RtSocket, call: PluginCall, result: CniResult): void {
  const link = checkPresent(container, call.ifname, `interface of ${call.containerId}`);
  if (link.kind !== "veth")
    throw checkFailed(`${call.ifname} in ${call.netns} is ${link.kind ?? "hardware"}, wanted a veth`);
  checkMac(link, result.interfaces.find((one) => one.name === call.ifname && one.sandbox === call.netns)?.mac);
}

function checkHostVeth(
  host: RtSocket,
  container: RtSocket,
  what: {
    readonly call: PluginCall;
    readonly config: BridgeConfig;
    readonly bridge: Link;
    readonly result: CniResult;
  },
): void {
  const { call, config, bridge, result } = what;
  // An attachment of the reference plugin has a name of its own making: the result knows it.
  const recorded = result.interfaces.find(
    (one) => one.sandbox === undefined && one.name !== bridge.name && one.name.startsWith("veth"),
  );
  const hostEnd = checkPresent(
    host,
    recorded?.name ?? hostVethName(call.attachment),
    "the host's end of the veth pair",
  );
  const containerEnd = linkGet(container, call.ifname);
  if (containerEnd?.peerIndex !== hostEnd.index)
    throw checkFailed(`${hostEnd.name} is not the peer of ${call.ifname} in ${call.netns}`);
  if (hostEnd.master !== bridge.index) throw checkFailed(`${hostEnd.name} is no port of bridge ${bridge.name}`);
  if (!hostEnd.up) throw checkFailed(`${hostEnd.name} is down, wanted up`);
  checkPort(host, hostEnd, config);
}

function checkPort(host: RtSocket, hostEnd: Link, config: BridgeConfig): void {
  const port = portOf(hostEnd);
  if (config.hairpin && !port.hairpin) throw checkFailed(`${hostEnd.name} has hairpin off, wanted hairpinMode`);
  if (config.portIsolation && !port.isolated)
    throw checkFailed(`${hostEnd.name} is not isolated, wanted portIsolation`);
  if (config.vlan === undefined) return;
  const { vlan } = config;
  const there = portVlanList(host, hostEnd.index).some((range) => range.pvid === true && range.first === vlan);
  if (!there) throw checkFailed(`${hostEnd.name} is not in VLAN ${vlan}, wanted untagged`);
}

/** The addresses that the result gives the container's interface, and the routes that go with them. */
function checkOwnAddresses(container: RtSocket, call: PluginCall, config: BridgeConfig, result: CniResult): void {
  const ips = addressesOf(call, result);
  checkAddresses(container, checkPresent(container, call.ifname, "interface"), call.netns, ips);
  if (ips.length === 0) return;
  const plan = planAddresses(config, { ...result, ips }, undefined);
  checkRoutes(container, call.netns, routesToSet(plan.ips, plan.routes));
}

function checkGateways(host: RtSocket, bridge: Link, config: BridgeConfig, result: CniResult): void {
  if (!config.isGateway) return;
  const wanted = result.ips.flatMap(({ gateway }): Address[] => (gateway === undefined ? [] : [gateway]));
  const device = config.vlan === undefined ? bridge : checkPresent(host, `${bridge.name}.${config.vlan}`, "gateway");
  const found = addrList(host, { index: device.index });
  for (const gateway of wanted) {
    if (!found.some((addr) => sameAddress(addr.cidr.address, gateway)))
      throw checkFailed(`${device.name} lacks the gateway address ${formatAddress(gateway)}`);
    if (!isForwarding(gateway.family)) {
      const key = gateway.family === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
      throw checkFailed(`${key} is 0, wanted 1: somebody turned forwarding off`);
    }
  }
}

async function checkRules(call: PluginCall, kit: Kit, config: BridgeConfig, result: CniResult): Promise<void> {
  if (config.macSpoofCheck) {
    const { checkSpoof } = await import("./spoof.ts");
    await checkSpoof(hostVethName(call.attachment));
  }
  if (!config.ipMasq || result.ips.length === 0) return;
  const firewall = await kit.firewall(config.ipMasqBackend);
  await firewall.check(call.attachment, { masquerade: { addresses: result.ips.map((ip) => ip.address) } });
}
