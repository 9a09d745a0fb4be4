/**
 * The kinds of links that can be made, each a name and its IFLA_INFO_DATA. A new kind is one function here.
 *
 * @module
 */

import { formatLink } from "netlink/dist/rt/gen_structs";
import { formatLinkAttrs, formatVethInfo } from "netlink/dist/rt/ifla";
import { getU32, putU8, putU16, putU32, type StreamData } from "netlink/dist/structs";
import { type Address, addressBytes, addressFromBytes } from "../net/address.ts";
import { parseMac } from "../net/mac.ts";
import type { Netns } from "../sys/netns.ts";
import { toBuffer } from "./bytes.ts";
import {
  IFLA_BR_VLAN_DEFAULT_PVID,
  IFLA_BR_VLAN_FILTERING,
  IFLA_VRF_TABLE,
  IFLA_VXLAN_GBP,
  IFLA_VXLAN_ID,
  IFLA_VXLAN_LEARNING,
  IFLA_VXLAN_LINK,
  IFLA_VXLAN_LOCAL,
  IFLA_VXLAN_LOCAL6,
  IFLA_VXLAN_PORT,
} from "./constants.ts";
import type { Link } from "./link.ts";

/** A kind of link with its settings, encoded. */
export interface LinkKind {
  readonly kind: string;
  readonly data?: Buffer;
}

/** The other end of a veth pair. */
export interface VethPeer {
  readonly name: string;
  /** Where it is to appear; the kernel puts it there in the same step, so it is never seen elsewhere. */
  readonly netns?: Netns;
  readonly mtu?: number;
  readonly mac?: string;
}

/** `ip link add ... type veth peer name NAME netns NETNS`. */
export function veth(peer: VethPeer): LinkKind {
  const message: StreamData = (out) => {
    out.emit(formatLink({}));
    out.emit(
      formatLinkAttrs({
        ifname: peer.name,
        ...(peer.mtu === undefined ? {} : { mtu: peer.mtu }),
        ...(peer.mac === undefined ? {} : { address: Buffer.from(parseMac(peer.mac)) }),
        ...(peer.netns === undefined ? {} : { netNsFd: peer.netns.fd }),
      }),
    );
  };
  return { kind: "veth", data: toBuffer(formatVethInfo({ peer: toBuffer(message) })) };
}

/** `ip link add ... type bridge vlan_filtering N vlan_default_pvid N`. */
export function bridge(
  settings: { readonly vlanFiltering?: boolean; readonly vlanDefaultPvid?: number } = {},
): LinkKind {
  const data: StreamData = (out) => {
    if (settings.vlanFiltering !== undefined) out.push(IFLA_BR_VLAN_FILTERING, putU8(settings.vlanFiltering ? 1 : 0));
    if (settings.vlanDefaultPvid !== undefined) out.push(IFLA_BR_VLAN_DEFAULT_PVID, putU16(settings.vlanDefaultPvid));
  };
  return { kind: "bridge", data: toBuffer(data) };
}

/** `ip link add ... type dummy`: it takes every packet and sends none on. */
export const dummy: LinkKind = { kind: "dummy" };

/** `ip link add ... type vrf table TABLE`: its ports ask that table alone. */
export function vrf(table: number): LinkKind {
  return { kind: "vrf", data: toBuffer((out) => out.push(IFLA_VRF_TABLE, putU32(table))) };
}

/** The table of a VRF; undefined for other links. */
export function vrfTableOf(link: Link): number | undefined {
  return link.kind === "vrf" ? getU32(link.data.get(IFLA_VRF_TABLE) ?? Buffer.alloc(4)) : undefined;
}

/** A VXLAN device (RFC 7348). */
export interface VxlanSettings {
  /** 1 to 16,777,215. */
  readonly vni: number;
  /** UDP, to which it sends and on which it receives. */
  readonly port: number;
  /** Source of the outer packets; which family the device sends by. */
  readonly local?: Address;
  /** Index of the link that the outer packets leave by. */
  readonly link?: number;
  /** Whether it learns from what comes in behind which address a MAC is. */
  readonly learning: boolean;
  /** Group based policy: the packet's mark travels in the VXLAN header. */
  readonly gbp?: boolean;
}

/** `ip link add ... type vxlan id VNI dstport PORT local ADDRESS dev LINK [no]learning [gbp]`. */
export function vxlan(settings: VxlanSettings): LinkKind {
  const { vni, port, gbp } = settings;
  const data: StreamData = (out) => {
    out.push(IFLA_VXLAN_ID, putU32(vni));
    out.emit(changeable(settings));
    // In network order, unlike the other numbers.
    out.push(IFLA_VXLAN_PORT, Uint8Array.of(port >> 8, port & 0xff));
    if (gbp === true) out.push(IFLA_VXLAN_GBP, Buffer.alloc(0));
  };
  return { kind: "vxlan", data: toBuffer(data) };
}

/**
 * What of a VXLAN device that is there can be changed without taking it down, for `linkSet`. The kernel refuses others,
 * even told what they are already.
 */
export function vxlanChanges(settings: Partial<Pick<VxlanSettings, "local" | "link" | "learning">>): LinkKind {
  return { kind: "vxlan", data: toBuffer(changeable(settings)) };
}

/** How a VXLAN device is set; undefined for other links. */
export function vxlanOf(link: Link): VxlanSettings | undefined {
  if (link.kind !== "vxlan") return undefined;
  const { data } = link;
  const number = (type: number) => getU32(data.get(type) ?? Buffer.alloc(4));
  const local = data.get(IFLA_VXLAN_LOCAL) ?? data.get(IFLA_VXLAN_LOCAL6);
  const lower = number(IFLA_VXLAN_LINK);
  return {
    vni: number(IFLA_VXLAN_ID),
    port: data.get(IFLA_VXLAN_PORT)?.readUInt16BE(0) ?? 0,
    learning: data.get(IFLA_VXLAN_LEARNING)?.[0] === 1,
    gbp: data.has(IFLA_VXLAN_GBP),
    ...(local === undefined ? {} : { local: addressFromBytes(local) }),
    ...(lower === 0 ? {} : { link: lower }),
  };
}

function changeable({ local, link, learning }: Partial<VxlanSettings>): StreamData {
  return (out) => {
    if (link !== undefined) out.push(IFLA_VXLAN_LINK, putU32(link));
    if (local !== undefined) {
      out.push(local.family === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, addressBytes(local));
    }
    if (learning !== undefined) out.push(IFLA_VXLAN_LEARNING, putU8(learning ? 1 : 0));
  };
}
