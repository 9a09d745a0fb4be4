/**
 * Where a VXLAN device sends frames to a MAC: `bridge fdb ... self`.
 *
 * @module
 */
import { formatNeighbor, formatNeighborAttrs } from "netlink/dist/rt/gen_structs";
import { getU32, putU32, type StreamData } from "netlink/dist/structs";
import { type Address, addressBytes, addressFromBytes } from "../net/address.ts";
import { formatMac, parseMac } from "../net/mac.ts";
import { attributeMap } from "./bytes.ts";
import {
  AF_BRIDGE,
  NDA_DST,
  NDA_IFINDEX,
  NDA_LLADDR,
  NDA_PORT,
  NDA_VNI,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  NUD_NOARP,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "./constants.ts";
import type { RtSocket } from "./socket.ts";

/** An entry of a VXLAN device. What is optional stands only in what the kernel shows, where it is not the device's own. */
export interface FdbEntry {
  /** Of the device. */
  readonly index: number;
  /** `aa:bb:cc:dd:ee:ff`; all zeros: whatever no other entry is for. */
  readonly mac: string;
  /** The host behind which it is. */
  readonly dst: Address;
  /** UDP. */
  readonly port?: number;
  readonly vni?: number;
  /** Index of the link to send by. */
  readonly link?: number;
  /** Made by the device itself, from what came in; it goes with time. */
  readonly learned?: true;
}

/** `bridge fdb replace MAC dev INDEX dst ADDRESS self permanent`: whatever the MAC led to before, it leads there. */
export function fdbReplace(socket: RtSocket, entry: FdbEntry): void {
  const what = `replace fdb entry ${entry.mac}`;
  socket.change({ type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE, body: bodyOf(entry, true), what });
}

/**
 * `bridge fdb del MAC dev INDEX dst ADDRESS self`; false if it was not there. An entry that leads elsewhere stays, and
 * the kernel says that all went well.
 */
export function fdbDel(socket: RtSocket, entry: FdbEntry): boolean {
  const what = `delete fdb entry ${entry.mac}`;
  return socket.change({ type: RTM_DELNEIGH, body: bodyOf(entry, false), what }, "ENOENT", "ENODEV");
}

/** `bridge fdb show dev INDEX`: the entries of a VXLAN device. */
export function fdbList(socket: RtSocket, index: number): readonly FdbEntry[] {
  const answers = socket.dump({
    type: RTM_GETNEIGH,
    body: formatNeighbor({ family: AF_BRIDGE, ifindex: index }),
    what: `list fdb of link ${index}`,
  });
  return answers.flatMap((payload) => parseFdb(payload) ?? []).filter((entry) => entry.index === index);
}

/** Reads a message of AF_BRIDGE about a neighbour; undefined without a host, as entries of a bridge are. */
export function parseFdb(payload: Buffer): FdbEntry | undefined {
  const all = attributeMap(payload.subarray(12));
  const mac = all.get(NDA_LLADDR);
  const dst = all.get(NDA_DST);
  if (mac === undefined || dst === undefined) return undefined;
  const port = all.get(NDA_PORT);
  const vni = all.get(NDA_VNI);
  const link = all.get(NDA_IFINDEX);
  return {
    index: payload.readInt32LE(4),
    mac: formatMac(mac),
    dst: addressFromBytes(dst),
    ...(port === undefined ? {} : { port: port.readUInt16BE(0) }),
    ...(vni === undefined ? {} : { vni: getU32(vni) }),
    ...(link === undefined ? {} : { link: getU32(link) }),
    ...((payload.readUInt16LE(8) & (NUD_PERMANENT | NUD_NOARP)) === 0 ? { learned: true } : {}),
  };
}

function bodyOf({ index, mac, dst, port, vni, link }: FdbEntry, permanent: boolean): StreamData {
  return (out) => {
    out.emit(
      formatNeighbor({
        family: AF_BRIDGE,
        ifindex: index,
        flags: { self: true },
        ...(permanent ? { state: { permanent: true } } : {}),
      }),
    );
    out.emit(formatNeighborAttrs({ dst: Buffer.from(addressBytes(dst)), lladdr: Buffer.from(parseMac(mac)) }));
    // In network order, unlike the other numbers.
    if (port !== undefined) out.push(NDA_PORT, Uint8Array.of(port >> 8, port & 0xff));
    if (vni !== undefined) out.push(NDA_VNI, putU32(vni));
    if (link !== undefined) out.push(NDA_IFINDEX, putU32(link));
  };
}
