/**
 * Links: `ip link`. What kinds of links there are to make is in kinds.ts.
 *
 * @module
 */

import { formatLink } from "netlink/dist/rt/gen_structs";
import { formatInfo, formatLinkAttrs, type LinkAttrs } from "netlink/dist/rt/ifla";
import { getString, getU32, putU32, type StreamData } from "netlink/dist/structs";
import { formatMac, parseMac } from "../net/mac.ts";
import type { Netns } from "../sys/netns.ts";
import { attributeMap, toBuffer } from "./bytes.ts";
import {
  IFF_ALLMULTI,
  IFF_PROMISC,
  IFF_UP,
  IFLA_ADDRESS,
  IFLA_EXT_MASK,
  IFLA_GROUP,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_INFO_SLAVE_DATA,
  IFLA_LINK,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_OPERSTATE,
  IFLA_TXQLEN,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
} from "./constants.ts";
import type { LinkKind } from "./kinds.ts";
import type { RtSocket } from "./socket.ts";

/** A link as the kernel shows it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `aa:bb:cc:dd:ee:ff`; empty for links without one. */
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
  readonly up: boolean;
  readonly promisc: boolean;
  readonly allmulti: boolean;
  /** `veth`, `bridge` and so on; undefined for hardware and lo. */
  readonly kind: string | undefined;
  /** Index of the bridge or bond that it is a port of. */
  readonly master: number | undefined;
  /** For a veth the index of its peer, for what stands on another link that link's, in its own namespace. */
  readonly peerIndex: number | undefined;
  /** `IF_OPER_*` of linux/if.h: 6 is up, 2 down, 7 or 0 unknown. */
  readonly operstate: number;
  readonly group: number;
  /** Packets. */
  readonly txQueueLength: number;
  readonly alias: string | undefined;
  /** The attributes of its kind and of its being a port, by number, undecoded. */
  readonly data: ReadonlyMap<number, Buffer>;
  readonly portData: ReadonlyMap<number, Buffer>;
}

/** A link to make. */
export interface LinkSpec {
  readonly name: string;
  readonly kind: LinkKind;
  readonly mtu?: number;
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac?: string;
  /** Not for a veth, which cannot be created up: its peer is not there yet. */
  readonly up?: boolean;
  readonly master?: number;
  readonly txQueueLength?: number;
  readonly group?: number;
  /** Index of the link that it stands on, in the socket's namespace: of a macvlan, ipvlan or vlan. */
  readonly link?: number;
  /** Where it is made, if not in the socket's namespace: it is never seen elsewhere. */
  readonly netns?: Netns;
}

/** What of a link to change. */
export interface LinkChanges {
  readonly up?: boolean;
  readonly promisc?: boolean;
  readonly allmulti?: boolean;
  readonly mtu?: number;
  readonly mac?: string;
  /** Index of the bridge to be a port of; 0 for none. */
  readonly master?: number;
  readonly name?: string;
  readonly netns?: Netns;
  readonly txQueueLength?: number;
  readonly alias?: string;
  readonly group?: number;
  /** Settings of its kind: `ip link set NAME type KIND ...`. */
  readonly kind?: LinkKind;
}

/** `ip link show NAME`: undefined if there is none. */
export function linkGet(socket: RtSocket, which: string | number): Link | undefined {
  const answer = socket.get({ type: RTM_GETLINK, body: identify(which, true), what: `show link ${which}` }, "ENODEV");
  return answer === undefined ? undefined : parseLink(answer);
}

/** `ip link show`: all links of the namespace. */
export function linkList(socket: RtSocket): readonly Link[] {
  const body: StreamData = (out) => {
    out.emit(formatLink({}));
    out.push(IFLA_EXT_MASK, putU32(RTEXT_FILTER_SKIP_STATS));
  };
  return socket.dump({ type: RTM_GETLINK, body, what: "list links" }).map(parseLink);
}

/**
 * `ip link add NAME ... type KIND`.
 *
 * @throws TsnetError `exists` if the name is taken, here or for a peer; `kernel-lacks` for an unknown kind.
 */
export function linkAdd(socket: RtSocket, spec: LinkSpec): void {
  const body: StreamData = (out) => {
    out.emit(formatLink(spec.up === true ? { flags: { up: true }, change: { up: true } } : {}));
    out.emit(formatLinkAttrs(attributes(spec)));
  };
  const what = `add link ${spec.name} type ${spec.kind.kind}`;
  socket.change({ type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body, what });
}

/** `ip link set INDEX ...`. */
export function linkSet(socket: RtSocket, which: string | number, changes: LinkChanges): void {
  const body: StreamData = (out) => {
    out.emit(identify(which, false, changes));
    out.emit(formatLinkAttrs(attributes(changes)));
  };
  socket.change({ type: RTM_NEWLINK, body, what: `set link ${which}` });
}

/** `ip link del NAME`; false if there was none. A veth takes its peer with it. */
export function linkDel(socket: RtSocket, which: string | number): boolean {
  return socket.change({ type: RTM_DELLINK, body: identify(which, false), what: `delete link ${which}` }, "ENODEV");
}

/**
 * `ip link del group GROUP`: all links that are in it, at once; none is fine. The kernel waits for its processors
 * once for all of them.
 */
export function linkDelGroup(socket: RtSocket, group: number): void {
  const body: StreamData = (out) => {
    out.emit(formatLink({}));
    out.push(IFLA_GROUP, putU32(group));
  };
  socket.change({ type: RTM_DELLINK, body, what: `delete links of group ${group}` }, "ENODEV");
}

/** The kind and its settings as an IFLA_LINKINFO. */
function linkInfo(kind: LinkKind): Buffer {
  return toBuffer(formatInfo({ kind: kind.kind, ...(kind.data === undefined ? {} : { data: kind.data }) }));
}

function attributes(spec: Partial<LinkSpec> & LinkChanges): LinkAttrs {
  const attrs: LinkAttrs = {};
  if (spec.name !== undefined) attrs.ifname = spec.name;
  if (spec.mtu !== undefined) attrs.mtu = spec.mtu;
  if (spec.mac !== undefined) attrs.address = Buffer.from(parseMac(spec.mac));
  if (spec.master !== undefined) attrs.master = spec.master;
  if (spec.txQueueLength !== undefined) attrs.txqlen = spec.txQueueLength;
  if (spec.netns !== undefined) attrs.netNsFd = spec.netns.fd;
  if (spec.link !== undefined) attrs.link = putU32(spec.link);
  if (spec.alias !== undefined) attrs.ifalias = spec.alias;
  if (spec.group !== undefined) attrs.group = spec.group;
  if (spec.kind !== undefined) attrs.linkinfo = linkInfo(spec.kind);
  return attrs;
}

/** The fixed struct, naming the link by index or, behind it, by IFLA_IFNAME. */
function identify(which: string | number, skipStats: boolean, changes: LinkChanges = {}): StreamData {
  const flags: { up?: true; promisc?: true; allmulti?: true } = {};
  const change: { up?: true; promisc?: true; allmulti?: true } = {};
  for (const flag of ["up", "promisc", "allmulti"] as const) {
    if (changes[flag] === undefined) continue;
    change[flag] = true;
    if (changes[flag]) flags[flag] = true;
  }
  return (out) => {
    out.emit(formatLink({ flags, change, ...(typeof which === "number" ? { index: which } : {}) }));
    if (typeof which === "string") out.push(IFLA_IFNAME, Buffer.from(`${which}\0`));
    if (skipStats) out.push(IFLA_EXT_MASK, putU32(RTEXT_FILTER_SKIP_STATS));
  };
}

/** Reads only what {@link Link} has: the package's own parser decodes some fifty attributes, at a cost. */
export function parseLink(payload: Buffer): Link {
  const flags = payload.readUInt32LE(8);
  const all = attributeMap(payload.subarray(16));
  const info = attributeMap(all.get(IFLA_LINKINFO));
  const text = (bytes: Buffer | undefined) => (bytes === undefined ? undefined : getString(bytes));
  const number = (type: number) => {
    const bytes = all.get(type);
    return bytes === undefined ? undefined : getU32(bytes);
  };
  return {
    index: payload.readInt32LE(4),
    name: text(all.get(IFLA_IFNAME)) ?? "",
    mac: formatMac(all.get(IFLA_ADDRESS) ?? Buffer.alloc(0)),
    mtu: number(IFLA_MTU) ?? 0,
    up: (flags & IFF_UP) !== 0,
    promisc: (flags & IFF_PROMISC) !== 0,
    allmulti: (flags & IFF_ALLMULTI) !== 0,
    kind: text(info.get(IFLA_INFO_KIND)),
    master: number(IFLA_MASTER),
    peerIndex: number(IFLA_LINK),
    operstate: all.get(IFLA_OPERSTATE)?.[0] ?? 0,
    group: number(IFLA_GROUP) ?? 0,
    txQueueLength: number(IFLA_TXQLEN) ?? 0,
    alias: text(all.get(IFLA_IFALIAS)),
    data: attributeMap(info.get(IFLA_INFO_DATA)),
    portData: attributeMap(info.get(IFLA_INFO_SLAVE_DATA)),
  };
}
