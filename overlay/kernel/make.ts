/**
 * Makes a VXLAN device as it shall be: adopts one that is there, changes in place what can be changed, and makes it
 * anew only where nothing else is left, as that loses packets.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import { hasErrno, isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { type Family, formatAddress, sameAddress } from "../../lib/net/address.ts";
import { formatCidr, sameCidr } from "../../lib/net/cidr.ts";
import { addrDel, addrList, addrReplace } from "../../lib/netlink/addr.ts";
import { RT_SCOPE_LINK } from "../../lib/netlink/constants.ts";
import { type VxlanSettings, vxlan, vxlanChanges, vxlanOf } from "../../lib/netlink/kinds.ts";
import { type Link, linkAdd, linkDel, linkGet, linkList, linkSet } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { setTxChecksum, txChecksum } from "../../lib/sys/ethtool.ts";
import { writeSysctls } from "../../lib/sys/files.ts";
import { inside, type Netns } from "../../lib/sys/netns.ts";
import { type DeviceSpec, deviceNames } from "./device.ts";
import type { Repair } from "./fabric.ts";
import type { DeviceRef } from "./wanted.ts";

export interface MakeContext {
  readonly socket: RtSocket;
  readonly netns: Netns | undefined;
  readonly log: Log;
  /** Sysctls that could not be written, with the reason: said once, however often the device is looked at. */
  readonly unwritten: Map<string, string>;
}

export interface Made extends DeviceRef {
  readonly repairs: readonly Repair[];
  /** What the kernel held for peers on it went with what was changed. */
  readonly emptied: boolean;
}

/**
 * Makes it so. `before`: what it was when it was last there.
 *
 * @throws TsnetError `conflict` if its name or its VNI and port are somebody else's; `kernel-lacks`, `permission`.
 */
export function makeDevice(context: MakeContext, spec: DeviceSpec, before: DeviceRef | undefined): Made {
  const { socket } = context;
  const name = before?.name;
  const there = findDevice(socket, spec.family, spec.vni, name) ?? namedAgain(context, spec, before);
  const shaped = there === undefined ? undefined : shape(context, there, spec);
  const link = shaped?.link ?? add(context, spec, there?.name ?? name ?? deviceNames(spec.family, spec.vni)[0]);
  setSysctls(context, link.name, spec.family);
  const address = ensureAddress(socket, link, spec);
  const fresh = shaped === undefined;
  if (fresh || !link.up) linkSet(socket, link.index, { up: true });
  if (!spec.checksumOffload) dropChecksum(context, link.name);
  const found = there === undefined ? "missing" : "different";
  const changed = fresh ? [link.name] : [...shaped.changed, ...(link.up ? [] : [`${link.name} up`])];
  const device = changed.map((object): Repair => ({ kind: "device", object, found }));
  return {
    index: link.index,
    name: link.name,
    repairs: fresh ? device : [...device, ...address.repairs],
    emptied: fresh || !link.up || shaped.emptied || address.missing,
  };
}

/**
 * The device that is there for the VNI, under the name that it had, ours or flannel's.
 *
 * @throws TsnetError `conflict` if our name is that of something else.
 */
export function findDevice(socket: RtSocket, family: Family, vni: number, name?: string | undefined): Link | undefined {
  const names = deviceNames(family, vni);
  for (const candidate of new Set([name ?? names[0], ...names])) {
    const link = linkGet(socket, candidate);
    if (link === undefined) continue;
    if (vxlanOf(link)?.vni === vni) return link;
    if (candidate !== names[0]) continue;
    throw new TsnetError(
      `${candidate} is ${link.kind === "vxlan" ? "a VXLAN device of another VNI" : `no VXLAN device but ${link.kind ?? "hardware"}`}: rename or delete it`,
      { code: "conflict", op: "overlay device" },
    );
  }
  return undefined;
}

/** The device that somebody gave another name, under its own. Few kernels rename a device that is up. */
function namedAgain(
  { socket, log }: MakeContext,
  { vni }: DeviceSpec,
  before: DeviceRef | undefined,
): Link | undefined {
  const link = before === undefined ? undefined : linkGet(socket, before.index);
  if (before === undefined || link === undefined || vxlanOf(link)?.vni !== vni) return undefined;
  linkSet(socket, link.index, { up: false });
  linkSet(socket, link.index, { name: before.name });
  log.warn("a VXLAN device was renamed: it has its own name again", { device: before.name, found: link.name });
  return { ...link, name: before.name, up: false };
}

interface Shaped {
  readonly link: Link;
  /** What was not as it shall be, for messages. */
  readonly changed: readonly string[];
  readonly emptied: boolean;
}

/** Changes what differs in place; undefined if it had to be deleted. */
function shape(context: MakeContext, link: Link, spec: DeviceSpec): Shaped | undefined {
  const { socket } = context;
  const settings = vxlanOf(link);
  const fixed = settings === undefined ? "it is no VXLAN device" : fixedDifference(settings, spec);
  if (settings === undefined || fixed !== undefined) return discard(context, link, fixed ?? "");
  const changed: string[] = [];
  const outer = outerChanges(settings, spec);
  if (outer !== undefined) {
    try {
      linkSet(socket, link.index, { kind: vxlanChanges(outer.changes) });
    } catch (error) {
      // Older kernels change less of a VXLAN device in place, before Linux 5.0 nothing.
      if (!hasErrno(error, "EOPNOTSUPP", "EINVAL")) throw error;
      return discard(context, link, `${outer.what} cannot be changed in place: ${messageOf(error)}`);
    }
    changed.push(`${link.name} ${outer.what}`);
  }
  if (link.mtu !== spec.mtu) {
    linkSet(socket, link.index, { mtu: spec.mtu });
    changed.push(`${link.name} mtu ${spec.mtu}`);
  }
  if (link.mac !== spec.mac) {
    linkSet(socket, link.index, { mac: spec.mac });
    changed.push(`${link.name} address ${spec.mac}`);
  }
  if (isPort(link)) {
    linkSet(socket, link.index, { master: 0 });
    changed.push(`${link.name} nomaster`);
  }
  // With a new MAC the kernel forgets the neighbours (neigh_changeaddr in net/core/neighbour.c).
  return { link, changed, emptied: link.mac !== spec.mac };
}

/** Whether what it receives goes to a bridge, or to what else it was put under, past the routes of this host. */
export function isPort({ master }: Link): boolean {
  return master !== undefined && master !== 0;
}

/** What no kernel changes while the device is there. */
export function fixedDifference(found: VxlanSettings, spec: DeviceSpec): string | undefined {
  if (found.port !== spec.port) return `its UDP port is ${found.port}, wanted ${spec.port}`;
  if ((found.gbp ?? false) !== spec.gbp) return `GBP is ${found.gbp ? "on" : "off"}, wanted ${spec.gbp ? "on" : "off"}`;
  if (found.local !== undefined && found.local.family !== spec.family) {
    return `its local address is ${formatAddress(found.local)}, wanted one of IPv${spec.family}`;
  }
  return undefined;
}

/** What can be changed in place; undefined if nothing has to be. */
export function outerChanges(found: VxlanSettings, spec: DeviceSpec) {
  const local = found.local === undefined || !sameAddress(found.local, spec.local);
  const link = found.link !== spec.link;
  const learning = found.learning !== spec.learning;
  if (!local && !link && !learning) return undefined;
  const what = [
    local ? `local ${formatAddress(spec.local)}` : "",
    link ? `dev ${spec.link}` : "",
    learning ? (spec.learning ? "learning" : "nolearning") : "",
  ];
  return {
    what: what.filter((text) => text !== "").join(" "),
    changes: {
      ...(local ? { local: spec.local } : {}),
      ...(link ? { link: spec.link } : {}),
      ...(learning ? { learning: spec.learning } : {}),
    },
  };
}

function discard({ socket, log }: MakeContext, link: Link, reason: string): undefined {
  log.warn("a VXLAN device is made anew", { device: link.name, reason });
  linkDel(socket, link.index);
}

/** Down: what the kernel does with a device that comes up depends on sysctls that can be set only once it is there. */
function add({ socket }: MakeContext, spec: DeviceSpec, name: string): Link {
  const { vni, port, local, link, learning, gbp, mtu, mac } = spec;
  try {
    linkAdd(socket, { name, kind: vxlan({ vni, port, local, link, learning, gbp }), mtu, mac });
  } catch (error) {
    throw isTsnetError(error, "exists") ? conflict(socket, spec, error) : error;
  }
  const made = linkGet(socket, name);
  if (made !== undefined) return made;
  throw new TsnetError(`${name} was deleted while it was made: try again`, { code: "busy", op: "overlay device" });
}

function conflict(socket: RtSocket, { vni, port, family }: DeviceSpec, cause: unknown): TsnetError {
  const holder = linkList(socket).find((link) => {
    const settings = vxlanOf(link);
    return settings?.vni === vni && settings.port === port && (settings.local?.family ?? family) === family;
  });
  return new TsnetError(
    `VNI ${vni} on port ${port} is ${holder === undefined ? "another device's" : `that of ${holder.name}`}: delete it (ip link delete ${holder?.name ?? "NAME"}), or give the network another VNI`,
    { code: "conflict", op: "overlay device", cause },
  );
}

function setSysctls({ netns, log, unwritten }: MakeContext, name: string, family: Family): void {
  const refused = (key: string, error: unknown) => {
    const reason = messageOf(error);
    if (unwritten.get(key) === reason) return;
    unwritten.set(key, reason);
    log.warn("a sysctl of the VXLAN device cannot be set", { key, reason });
  };
  const entries: readonly (readonly [string, string])[] = [
    // Packets of a host come from its underlay address or from this device's, whichever way the answer goes.
    [`net/ipv4/conf/${name}/rp_filter`, "2"],
    [`net/ipv4/conf/${name}/forwarding`, "1"],
    [`net/ipv6/conf/${name}/accept_ra`, "0"],
    ...(family === 6
      ? ([
          [`net/ipv6/conf/${name}/disable_ipv6`, "0"],
          [`net/ipv6/conf/${name}/forwarding`, "1"],
        ] as const)
      : []),
  ];
  writeSysctls(netns, entries, refused);
}

/** Exactly the one address; the kernel's own link-local ones stay. */
function ensureAddress(
  socket: RtSocket,
  { index, name }: Link,
  { address }: DeviceSpec,
): { readonly repairs: readonly Repair[]; readonly missing: boolean } {
  const there = addrList(socket, { index });
  const missing = !there.some(({ cidr }) => sameCidr(cidr, address));
  const repairs: Repair[] = [];
  const tell = (cidr: typeof address, found: Repair["found"]) => {
    repairs.push({ kind: "address", object: `${formatCidr(cidr)} dev ${name}`, found });
  };
  // Before the others go: with the last address of IPv4 all routes of the device would.
  if (missing) {
    addrReplace(socket, { index, cidr: address, noDad: true });
    tell(address, "missing");
  }
  for (const { cidr, scope } of there) {
    if (sameCidr(cidr, address) || (cidr.address.family === 6 && scope === RT_SCOPE_LINK)) continue;
    addrDel(socket, index, cidr);
    tell(cidr, "superfluous");
  }
  return { repairs, missing };
}

function dropChecksum({ netns, log }: MakeContext, name: string): void {
  const drop = () => {
    if (txChecksum(name)) setTxChecksum(name, false);
  };
  try {
    if (netns === undefined) drop();
    else inside(netns, drop);
  } catch (error) {
    log.warn("checksum offload of the VXLAN device cannot be switched off", { name, reason: messageOf(error) });
  }
}
