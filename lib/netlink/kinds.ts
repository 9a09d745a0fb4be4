/**
 * The kinds of links that can be made, each a name and its IFLA_INFO_DATA. A new kind is one function here.
 *
 * @module
 */

import { formatLink } from "netlink/dist/rt/gen_structs";
import { formatLinkAttrs, formatVethInfo } from "netlink/dist/rt/ifla";
import { putU8, putU16, type StreamData } from "netlink/dist/structs";
import { parseMac } from "../net/mac.ts";
import type { Netns } from "../sys/netns.ts";
import { toBuffer } from "./bytes.ts";
import { IFLA_BR_VLAN_DEFAULT_PVID, IFLA_BR_VLAN_FILTERING } from "./constants.ts";

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
