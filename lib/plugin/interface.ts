/**
 * The verbs of plugins that give a container one interface and keep nothing on the host: macvlan, ipvlan, vlan, tap
 * and host-device. What each of them does differently is how the interface gets there.
 *
 * @module
 */
import type { CniDns, CniIp, CniResult, PluginCall } from "../cni/types.ts";
import { TsnetError } from "../errors.ts";
import { callIpam, givesBackByLink, takeAddresses } from "../ipam/call.ts";
import { type Link, linkDel, linkGet } from "../netlink/link.ts";
import { writeSysctls } from "../sys/files.ts";
import { Undo } from "../undo.ts";
import { Attempts } from "./attempts.ts";
import {
  addressesOf,
  checkAddresses,
  checkFailed,
  checkMac,
  checkPresent,
  checkRoutes,
  previousResult,
} from "./check.ts";
import { configureContainer, doWithout } from "./container.ts";
import { hostVethAlias, isOfAnother } from "./identity.ts";
import { refuseExisting } from "./link.ts";
import { insideIfThere, type Namespaces, openNamespaces } from "./netns.ts";
import { routesToSet } from "./routes.ts";
import { settleAddresses } from "./settle.ts";

/** Where an ADD works, and what takes back what it did. */
export interface Scene extends Namespaces {
  readonly call: PluginCall;
  readonly undo: Undo;
}

/** An interface to add. */
export interface InterfaceToAdd {
  /** Undefined: it gets no addresses. */
  readonly ipamType: string | undefined;
  /** Addresses that are there already, in place of IPAM's. */
  readonly given?: CniResult;
  /** Whether its IPv6 addresses go through duplicate address detection, which is waited for if there is a gateway. */
  readonly enableDad: boolean;
  /** Its place on the PCI bus, for the result. */
  readonly pciID?: string;
  /** Puts it into the container under the call's name, and tells `undo`. */
  put(scene: Scene): Promise<Link> | Link;
}

/** ADD: the interface, its addresses, and the result; whatever fails takes back what was done. */
export async function addInterface(call: PluginCall, wanted: InterfaceToAdd): Promise<CniResult> {
  using namespaces = openNamespaces(call.netns);
  const { host, container, netns } = namespaces;
  const undo = new Undo();
  try {
    refuseExisting(container, netns, call.ifname, "interface");
    const link = await wanted.put({ ...namespaces, host, container, netns, call, undo });
    const { ips, routes, dns } = await addressing(call, wanted, undo);
    prepareIpv6(namespaces, link, ips);
    const settings = { link, ips, routes: routesToSet(ips, routes), enableDad: wanted.enableDad };
    configureContainer(container, netns, settings);
    if (wanted.enableDad && ips.some(({ gateway }) => gateway?.family === 6)) settleAddresses(container, link);
    const { name, mac, mtu } = link;
    const pciID = wanted.pciID === undefined ? {} : { pciID: wanted.pciID };
    return { interfaces: [{ name, mac, mtu, sandbox: call.netns, ...pciID }], ips, routes, dns };
  } catch (error) {
    throw await undo.unwind(error);
  }
}

/**
 * Addresses and routes from IPAM, all of them for the one interface; none without IPAM.
 *
 * @throws TsnetError `plugin` if IPAM gave no address.
 */
export async function addressing(
  call: PluginCall,
  { ipamType, given }: Pick<InterfaceToAdd, "ipamType" | "given">,
  undo: Undo,
): Promise<Omit<CniResult, "interfaces">> {
  const { dns = {} } = call.conf;
  if (given !== undefined) return { ips: ownIps(given), routes: given.routes, dns };
  if (ipamType === undefined) return { ips: [], routes: [], dns };
  const result = await takeAddresses(ipamType, call, undo);
  if (result.ips.length === 0) {
    throw new TsnetError(`IPAM plugin ${ipamType} returned missing IP config: it gave no address`, {
      code: "plugin",
      op: "IPAM ADD",
    });
  }
  return { ips: ownIps(result), routes: result.routes, dns: dnsOf(dns, result.dns) };
}

/**
 * DEL: the interface, if it is of this attachment, then its address, which nobody shall get before; unless it is the
 * interface that it is given back by.
 */
export async function delInterface(
  call: PluginCall,
  what: { readonly ipamType: string | undefined; remove(): void | Promise<void> },
): Promise<void> {
  const { ipamType } = what;
  const attempts = new Attempts(`DEL ${call.conf.type}`);
  const freeAddress = () => (ipamType === undefined ? undefined : callIpam(ipamType, call, "DEL"));
  const isFirst = givesBackByLink(ipamType);
  if (isFirst) await attempts.try(freeAddress);
  await attempts.try(() => what.remove());
  if (!isFirst) await attempts.try(freeAddress);
  attempts.finish();
}

/**
 * Deletes the container's interface if it is of the plugin's kind and not tagged as another attachment's: a runtime
 * calls DEL also after an ADD that failed because the name was taken. One without a tag may be the reference's.
 */
export function removeInterface({ netns, attachment }: PluginCall, kind: string): void {
  insideIfThere(netns, (container) => {
    const link = linkGet(container, attachment.ifname);
    if (link?.kind === kind && !isOfAnother(link.alias, attachment)) linkDel(container, link.index);
  });
}

/** How an interface is tagged in its container: as the host's end of a veth pair is. */
export const aliasOf = hostVethAlias;

/** What CHECK looks after. */
export interface InterfaceToCheck {
  readonly ipamType: string | undefined;
  /** Undefined: any. */
  readonly kind?: string;
  /** Bytes, from the config: where the result names another, a later plugin changed it. */
  readonly mtu?: number | undefined;
  /** What the plugin alone knows to look at. */
  look?(link: Link, namespaces: Namespaces): void;
}

/** CHECK: the interface, its kind, MAC, MTU, addresses and routes. @throws TsnetError `check-failed`. */
export async function checkInterface(call: PluginCall, wanted: InterfaceToCheck): Promise<void> {
  const result = previousResult(call);
  if (wanted.ipamType !== undefined) await callIpam(wanted.ipamType, call, "CHECK");
  const recorded = result.interfaces.find(({ name, sandbox }) => name === call.ifname && sandbox === call.netns);
  if (recorded === undefined) throw checkFailed(`prevResult has no interface ${call.ifname} in ${call.netns}`);
  using namespaces = openNamespaces(call.netns);
  const { container } = namespaces;
  const link = checkPresent(container, call.ifname, `interface of ${call.containerId}`);
  const what = `${link.name} in ${call.netns}`;
  if (wanted.kind !== undefined && link.kind !== wanted.kind)
    throw checkFailed(`${what} is ${link.kind ?? "hardware"}, wanted ${wanted.kind}`);
  wanted.look?.(link, namespaces);
  if (!link.up) throw checkFailed(`${what} is down, wanted up`);
  checkMac(link, recorded.mac);
  const mtu = recorded.mtu ?? wanted.mtu;
  if (mtu !== undefined && mtu !== link.mtu) throw checkFailed(`${what} has the MTU ${link.mtu}, wanted ${mtu}`);
  const ips = addressesOf(call, result);
  checkAddresses(container, link, call.netns, ips);
  checkRoutes(container, call.netns, routesToSet(ips, result.routes));
}

/**
 * GC: the interfaces live and die with their namespaces, and nothing of them is on the host; only the addresses are
 * there to be collected.
 */
export async function gcAddresses(call: PluginCall): Promise<void> {
  const ipamType = ipamTypeOf(call);
  if (call.conf.validAttachments !== undefined && ipamType !== undefined) await callIpam(ipamType, call, "GC");
}

/** STATUS of the addresses. */
export async function statusOfAddresses(call: PluginCall): Promise<void> {
  const ipamType = ipamTypeOf(call);
  if (ipamType !== undefined) await callIpam(ipamType, call, "STATUS");
}

/** The `type` under `ipam`; undefined where the interface gets no addresses. @throws TsnetError `decoding`. */
export function ipamTypeOf({ conf: { raw } }: PluginCall): string | undefined {
  const type = raw.object("ipam")?.string("type");
  return type === "" ? undefined : type;
}

function ownIps({ ips }: CniResult): readonly CniIp[] {
  return ips.map((ip) => ({ ...ip, interface: 0 }));
}

/** In the config even an empty field replaces what IPAM says. */
function dnsOf(conf: CniDns, ipam: CniDns): CniDns {
  return Object.keys(conf).length > 0 ? conf : ipam;
}

/** IPv6, which containers may have off by default, also on lo; and its arp_notify: neighbours hear of the new MAC. */
function prepareIpv6({ netns }: Namespaces, link: Link, ips: readonly CniIp[]): void {
  if (!ips.some(({ address }) => address.address.family === 6)) return;
  const settings = [
    ["net/ipv6/conf/lo/disable_ipv6", "0"],
    [`net/ipv6/conf/${link.name}/ndisc_notify`, "1"],
  ] as const;
  writeSysctls(netns, settings, doWithout);
}
