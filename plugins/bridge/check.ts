/**
 * CHECK: whether what ADD made still stands. What others added beside it is fine.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type Address, formatAddress, sameAddress } from "../../lib/net/address.ts";
import { formatCidr, sameCidr } from "../../lib/net/cidr.ts";
import { addrList } from "../../lib/netlink/addr.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import { portOf, portVlanList } from "../../lib/netlink/port.ts";
import { describeRoute, routeList } from "../../lib/netlink/route.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { type BridgeConfig, parseConfig } from "./config.ts";
import { isForwarding } from "./forwarding.ts";
import { hostVethName } from "./identity.ts";
import { callIpam } from "./ipam.ts";
import { planAddresses, routesToSet } from "./plan.ts";

export async function check(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const result = call.conf.prevResult;
  if (result === undefined)
    throw new TsnetError("required prevResult missing", { code: "decoding", op: "CHECK bridge" });
  if (config.ipamType !== undefined) await callIpam(config.ipamType, call, "CHECK");
  const netns = openNetns(call.netns);
  try {
    using host = RtSocket.open();
    using container = RtSocket.open(netns);
    const bridge = checkBridge(host, config, result);
    checkContainer(container, call, result);
    checkHostVeth(host, container, { call, config, bridge, result });
    checkAddresses(container, call, config, result);
    checkGateways(host, bridge, config, result);
  } finally {
    netns.close();
  }
  await checkRules(call, config, result);
}

function checkBridge(host: RtSocket, config: BridgeConfig, result: CniResult): Link {
  const bridge = present(host, config.bridge, "bridge");
  if (bridge.kind !== "bridge") throw failed(`${config.bridge} is ${bridge.kind ?? "hardware"}, wanted a bridge`);
  if (!bridge.up) throw failed(`bridge ${config.bridge} is down, wanted up`);
  if (config.promisc && !bridge.promisc) throw failed(`bridge ${config.bridge} is not promiscuous, wanted promiscMode`);
  checkMac(bridge, result.interfaces.find((one) => one.name === config.bridge && one.sandbox === undefined)?.mac);
  return bridge;
}

function checkContainer(container: RtSocket, call: PluginCall, result: CniResult): void {
  const link = present(container, call.ifname, `interface of ${call.containerId}`);
  if (link.kind !== "veth")
    throw failed(`${call.ifname} in ${call.netns} is ${link.kind ?? "hardware"}, wanted a veth`);
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
  const hostEnd = present(host, recorded?.name ?? hostVethName(call.attachment), "the host's end of the veth pair");
  const containerEnd = linkGet(container, call.ifname);
  if (containerEnd?.peerIndex !== hostEnd.index)
    throw failed(`${hostEnd.name} is not the peer of ${call.ifname} in ${call.netns}`);
  if (hostEnd.master !== bridge.index) throw failed(`${hostEnd.name} is no port of bridge ${bridge.name}`);
  if (!hostEnd.up) throw failed(`${hostEnd.name} is down, wanted up`);
  checkPort(host, hostEnd, config);
}

function checkPort(host: RtSocket, hostEnd: Link, config: BridgeConfig): void {
  const port = portOf(hostEnd);
  if (config.hairpin && !port.hairpin) throw failed(`${hostEnd.name} has hairpin off, wanted hairpinMode`);
  if (config.portIsolation && !port.isolated) throw failed(`${hostEnd.name} is not isolated, wanted portIsolation`);
  if (config.vlan === undefined) return;
  const { vlan } = config;
  const there = portVlanList(host, hostEnd.index).some((range) => range.pvid === true && range.first === vlan);
  if (!there) throw failed(`${hostEnd.name} is not in VLAN ${vlan}, wanted untagged`);
}

function checkAddresses(container: RtSocket, call: PluginCall, config: BridgeConfig, result: CniResult): void {
  const link = present(container, call.ifname, "interface");
  const mine = result.ips.filter(
    (ip) => ip.interface === undefined || result.interfaces[ip.interface]?.name === call.ifname,
  );
  const found = addrList(container, { index: link.index });
  for (const { address } of mine) {
    if (!found.some((addr) => sameCidr(addr.cidr, address)))
      throw failed(`${call.ifname} in ${call.netns} lacks the address ${formatCidr(address)}`);
  }
  if (mine.length === 0) return;
  const routes = routeList(container);
  for (const wanted of routesToSet(planAddresses(config, { ...result, ips: mine }, undefined))) {
    const there = routes.some(
      (route) =>
        sameCidr(route.dst, wanted.dst) &&
        (wanted.gw === undefined || (route.gateway !== undefined && sameAddress(route.gateway, wanted.gw))) &&
        (wanted.table === undefined || route.table === wanted.table),
    );
    if (!there)
      throw failed(
        `${call.netns} lacks the route ${describeRoute({ dst: wanted.dst, ...(wanted.gw === undefined ? {} : { gateway: wanted.gw }) })}`,
      );
  }
}

function checkGateways(host: RtSocket, bridge: Link, config: BridgeConfig, result: CniResult): void {
  if (!config.isGateway) return;
  const wanted = result.ips.flatMap(({ gateway }): Address[] => (gateway === undefined ? [] : [gateway]));
  const device = config.vlan === undefined ? bridge : present(host, `${bridge.name}.${config.vlan}`, "gateway");
  const found = addrList(host, { index: device.index });
  for (const gateway of wanted) {
    if (!found.some((addr) => sameAddress(addr.cidr.address, gateway)))
      throw failed(`${device.name} lacks the gateway address ${formatAddress(gateway)}`);
    if (!isForwarding(gateway.family)) {
      const key = gateway.family === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
      throw failed(`${key} is 0, wanted 1: somebody turned forwarding off`);
    }
  }
}

async function checkRules(call: PluginCall, config: BridgeConfig, result: CniResult): Promise<void> {
  if (config.macSpoofCheck) {
    const { checkSpoof } = await import("./spoof.ts");
    await checkSpoof(hostVethName(call.attachment));
  }
  if (!config.ipMasq || result.ips.length === 0) return;
  const { chooseFirewall } = await import("../../lib/firewall/firewall.ts");
  const firewall = await chooseFirewall(config.ipMasqBackend);
  await firewall.check(call.attachment, { masquerade: { addresses: result.ips.map((ip) => ip.address) } });
}

function present(socket: RtSocket, name: string, what: string): Link {
  const link = linkGet(socket, name);
  if (link === undefined) throw failed(`${what} ${name} is gone`);
  return link;
}

function checkMac(link: Link, wanted: string | undefined): void {
  if (wanted !== undefined && wanted !== "" && wanted.toLowerCase() !== link.mac)
    throw failed(`${link.name} has the MAC ${link.mac}, wanted ${wanted}`);
}

function failed(message: string): TsnetError {
  return new TsnetError(message, { code: "check-failed", op: "CHECK bridge" });
}
