/**
 * CHECK: whether what ADD made still stands. What others added beside it is fine, and so is what plugins behind us
 * changed, as far as the result tells of it.
 *
 * @module
 */
import type { CniInterface, CniResult, PluginCall } from "../../lib/cni/types.ts";
import { callIpam } from "../../lib/ipam/call.ts";
import { sameAddress } from "../../lib/net/address.ts";
import { formatCidr, sameCidr } from "../../lib/net/cidr.ts";
import { addrList } from "../../lib/netlink/addr.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import { routeList } from "../../lib/netlink/route.ts";
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
import { type PtpConfig, parseConfig } from "./config.ts";
import { type Plan, planAddresses } from "./plan.ts";

export async function check(call: PluginCall, kit: Kit): Promise<void> {
  const config = parseConfig(call);
  const result = previousResult(call);
  await callIpam(config.ipamType, call, "CHECK");
  const ips = addressesOf(call, result);
  const plan = planAddresses(config.ipamType, { ...result, ips }, undefined);
  checkKernel(call, config, result, plan);
  if (!config.ipMasq) return;
  const firewall = await kit.firewall(config.ipMasqBackend);
  await firewall.check(call.attachment, { masquerade: { addresses: plan.ips.map((ip) => ip.address) } });
}

function checkKernel(call: PluginCall, config: PtpConfig, result: CniResult, plan: Plan): void {
  using namespaces = openNamespaces(call.netns);
  const { host, container } = namespaces;
  const containerEnd = checkContainerEnd(container, call, result);
  const hostEnd = checkHostEnd(host, containerEnd, call, { config, result });
  checkAddresses(container, containerEnd, call.netns, plan.ips);
  checkRoutes(container, call.netns, plan.containerRoutes);
  checkHostRouting(host, hostEnd, plan);
}

function checkContainerEnd(container: RtSocket, call: PluginCall, { interfaces }: CniResult): Link {
  const link = checkPresent(container, call.ifname, `interface of ${call.containerId}`);
  if (link.kind !== "veth")
    throw checkFailed(`${call.ifname} in ${call.netns} is ${link.kind ?? "hardware"}, wanted a veth`);
  if (!link.up) throw checkFailed(`${call.ifname} in ${call.netns} is down, wanted up`);
  const recorded = interfaces.find((one) => one.name === call.ifname && one.sandbox === call.netns);
  checkMac(link, recorded?.mac);
  checkMtu(link, recorded?.mtu);
  return link;
}

function checkHostEnd(
  host: RtSocket,
  containerEnd: Link,
  call: PluginCall,
  { config, result }: { readonly config: PtpConfig; readonly result: CniResult },
): Link {
  const recorded = hostInterface(host, result);
  const hostEnd = checkPresent(
    host,
    recorded?.name ?? hostVethName(call.attachment),
    "the host's end of the veth pair",
  );
  if (containerEnd.peerIndex !== hostEnd.index)
    throw checkFailed(`${hostEnd.name} is not the peer of ${call.ifname} in ${call.netns}`);
  if (!hostEnd.up) throw checkFailed(`${hostEnd.name} is down, wanted up`);
  checkMac(hostEnd, recorded?.mac);
  checkMtu(hostEnd, recorded?.mtu ?? config.mtu);
  return hostEnd;
}

/** The reference plugin's has a name of its own making, which the result knows; others' interfaces may stand there, too. */
function hostInterface(host: RtSocket, { interfaces }: CniResult): CniInterface | undefined {
  const own = interfaces.filter(({ sandbox, name }) => (sandbox ?? "") === "" && name.startsWith("veth"));
  return own.find(({ name }) => linkGet(host, name) !== undefined) ?? own[0];
}

function checkMtu(link: Link, wanted: number | undefined): void {
  if (wanted !== undefined && link.mtu !== wanted)
    throw checkFailed(`${link.name} has the MTU ${link.mtu}, wanted ${wanted}`);
}

function checkHostRouting(host: RtSocket, hostEnd: Link, { gateways, hostRoutes }: Plan): void {
  const found = addrList(host, { index: hostEnd.index });
  for (const gateway of gateways) {
    if (!found.some(({ cidr }) => sameAddress(cidr.address, gateway.address)))
      throw checkFailed(`${hostEnd.name} lacks the gateway address ${formatCidr(gateway)}`);
  }
  const routes = routeList(host).filter((route) => route.dev === hostEnd.index);
  for (const wanted of hostRoutes) {
    if (!routes.some(({ dst }) => sameCidr(dst, wanted)))
      throw checkFailed(`the host lacks the route ${formatCidr(wanted)} to ${hostEnd.name}`);
    const { family } = wanted.address;
    if (isForwarding(family)) continue;
    const key = family === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
    throw checkFailed(`${key} is 0, wanted 1: somebody turned forwarding off`);
  }
}
