/**
 * Ports of a bridge: `bridge link` and `bridge vlan`.
 *
 * @module
 */

import { formatLink } from "netlink/dist/rt/gen_structs";
import {
  formatBridgePort,
  formatBridgeSpec,
  formatBridgeVlanInfo,
  formatInfo,
  formatLinkAttrs,
} from "netlink/dist/rt/ifla";
import { parseAttributes, putU8, putU32, type StreamData } from "netlink/dist/structs";
import { attributeMap, toBuffer } from "./bytes.ts";
import {
  AF_BRIDGE,
  BRIDGE_FLAGS_SELF,
  BRIDGE_VLAN_INFO_PVID,
  BRIDGE_VLAN_INFO_RANGE_BEGIN,
  BRIDGE_VLAN_INFO_RANGE_END,
  BRIDGE_VLAN_INFO_UNTAGGED,
  IFLA_AF_SPEC,
  IFLA_BRIDGE_VLAN_INFO,
  IFLA_BRPORT_ISOLATED,
  IFLA_BRPORT_MODE,
  IFLA_EXT_MASK,
  RTEXT_FILTER_BRVLAN_COMPRESSED,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "./constants.ts";
import type { Link } from "./link.ts";
import type { RtSocket } from "./socket.ts";

export interface PortSettings {
  /** Sends a frame back out of the port that it came in by. */
  readonly hairpin?: boolean;
  /** Talks to the bridge and to ports that are not isolated only. */
  readonly isolated?: boolean;
}

/** VLANs `first` to `last` (1 to 4094) of a port. */
export interface VlanRange {
  readonly first: number;
  readonly last: number;
  /** Untagged frames that come in belong to it. */
  readonly pvid?: boolean;
  /** Its frames go out without a tag. */
  readonly untagged?: boolean;
}

/** `bridge link set dev PORT hairpin on isolated on`. */
export function portSet(socket: RtSocket, index: number, settings: PortSettings): void {
  const slaveData = toBuffer((out) => {
    out.emit(formatBridgePort(settings.hairpin === undefined ? {} : { mode: settings.hairpin ? 1 : 0 }));
    if (settings.isolated !== undefined) out.push(IFLA_BRPORT_ISOLATED, putU8(settings.isolated ? 1 : 0));
  });
  const linkinfo = toBuffer(formatInfo({ slaveKind: "bridge", slaveData }));
  const body: StreamData = (out) => {
    out.emit(formatLink({ index }));
    out.emit(formatLinkAttrs({ linkinfo }));
  };
  socket.change({ type: RTM_NEWLINK, body, what: `set bridge port ${index}` });
}

/** The settings of a link that is a bridge port. */
export function portOf(link: Link): Required<PortSettings> {
  const flag = (type: number) => link.portData.get(type)?.[0] === 1;
  return { hairpin: flag(IFLA_BRPORT_MODE), isolated: flag(IFLA_BRPORT_ISOLATED) };
}

/**
 * `bridge vlan add dev PORT vid FIRST-LAST [pvid] [untagged] [self]`; `self` is for the bridge device itself.
 *
 * @throws TsnetError `kernel-lacks` where the kernel has no VLAN filtering.
 */
export function portVlanAdd(socket: RtSocket, index: number, range: VlanRange, self = false): void {
  const what = `add VLAN ${range.first}-${range.last} to bridge port ${index}`;
  socket.change({ type: RTM_SETLINK, body: vlanBody(index, range, self), what });
}

/** `bridge vlan del dev PORT vid FIRST-LAST`. */
export function portVlanDel(socket: RtSocket, index: number, range: VlanRange, self = false): void {
  const what = `delete VLAN ${range.first}-${range.last} of bridge port ${index}`;
  socket.change({ type: RTM_DELLINK, body: vlanBody(index, range, self), what });
}

/** `bridge vlan show dev PORT`, ranges as the kernel compresses them. */
export function portVlanList(socket: RtSocket, index: number): readonly VlanRange[] {
  const body: StreamData = (out) => {
    out.emit(formatLink({ family: AF_BRIDGE }));
    out.push(IFLA_EXT_MASK, putU32(RTEXT_FILTER_BRVLAN_COMPRESSED));
  };
  const answers = socket.dump({ type: RTM_GETLINK, body, what: "list VLANs of bridge ports" });
  const mine = answers.find((payload) => payload.readInt32LE(4) === index);
  return mine === undefined ? [] : parseVlans(attributeMap(mine.subarray(16)).get(IFLA_AF_SPEC) ?? Buffer.alloc(0));
}

function vlanBody(index: number, range: VlanRange, self: boolean): StreamData {
  const flags =
    (range.pvid === true ? BRIDGE_VLAN_INFO_PVID : 0) | (range.untagged === true ? BRIDGE_VLAN_INFO_UNTAGGED : 0);
  const one = (vid: number, extra: number) => formatBridgeVlanInfo({ vid, flags: flags | extra });
  const spec = toBuffer((out) => {
    if (self) out.emit(formatBridgeSpec({ flags: BRIDGE_FLAGS_SELF }));
    if (range.first === range.last) {
      out.push(IFLA_BRIDGE_VLAN_INFO, one(range.first, 0));
    } else {
      out.push(IFLA_BRIDGE_VLAN_INFO, one(range.first, BRIDGE_VLAN_INFO_RANGE_BEGIN));
      out.push(IFLA_BRIDGE_VLAN_INFO, one(range.last, BRIDGE_VLAN_INFO_RANGE_END));
    }
  });
  return (out) => {
    out.emit(formatLink({ family: AF_BRIDGE, index }));
    out.push(IFLA_AF_SPEC, spec);
  };
}

function parseVlans(spec: Buffer): readonly VlanRange[] {
  const ranges: VlanRange[] = [];
  let first: number | undefined;
  parseAttributes(spec, ({ type, data }) => {
    if (type !== IFLA_BRIDGE_VLAN_INFO) return;
    const flags = data.readUInt16LE(0);
    const vid = data.readUInt16LE(2);
    if ((flags & BRIDGE_VLAN_INFO_RANGE_BEGIN) !== 0) {
      first = vid;
      return;
    }
    ranges.push({
      first: first ?? vid,
      last: vid,
      pvid: (flags & BRIDGE_VLAN_INFO_PVID) !== 0,
      untagged: (flags & BRIDGE_VLAN_INFO_UNTAGGED) !== 0,
    });
    first = undefined;
  });
  return ranges;
}
