/**
 * Neighbours: `ip neighbour`. What a bridge or VXLAN device knows of MACs is in fdb.ts.
 *
 * @module
 */
import { formatNeighbor, formatNeighborAttrs } from "netlink/dist/rt/gen_structs";
import { putU32, type StreamData } from "netlink/dist/structs";
import { type Address, addressBytes, addressFromBytes, formatAddress } from "../net/address.ts";
import { formatMac, parseMac } from "../net/mac.ts";
import { attributeMap } from "./bytes.ts";
import {
  AF_UNSPEC,
  NDA_DST,
  NDA_IFINDEX,
  NDA_LLADDR,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "./constants.ts";
import { familyNumber, isAboutIp } from "./family.ts";
import type { RtSocket } from "./socket.ts";

/** An entry of the ARP or neighbour discovery table. */
export interface Neigh {
  readonly index: number;
  readonly address: Address;
  /** `aa:bb:cc:dd:ee:ff`; undefined while it is being asked for. */
  readonly mac: string | undefined;
  readonly permanent: boolean;
}

/** `ip neighbour replace ADDRESS lladdr MAC dev INDEX nud permanent`. */
export function neighReplace(
  socket: RtSocket,
  entry: { readonly index: number; readonly address: Address; readonly mac: string },
): void {
  const body: StreamData = (out) => {
    out.emit(
      formatNeighbor({ family: familyNumber(entry.address.family), ifindex: entry.index, state: { permanent: true } }),
    );
    out.emit(
      formatNeighborAttrs({ dst: Buffer.from(addressBytes(entry.address)), lladdr: Buffer.from(parseMac(entry.mac)) }),
    );
  };
  const what = `replace neighbour ${formatAddress(entry.address)}`;
  socket.change({ type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE, body, what });
}

/** `ip neighbour del ADDRESS dev INDEX`; false if it was not there. */
export function neighDel(socket: RtSocket, index: number, address: Address): boolean {
  const body: StreamData = (out) => {
    out.emit(formatNeighbor({ family: familyNumber(address.family), ifindex: index }));
    out.emit(formatNeighborAttrs({ dst: Buffer.from(addressBytes(address)) }));
  };
  const what = `delete neighbour ${formatAddress(address)}`;
  return socket.change({ type: RTM_DELNEIGH, body, what }, "ENOENT", "ENODEV");
}

/** `ip neighbour show [dev INDEX]`: IPv4 and IPv6. */
export function neighList(socket: RtSocket, filter: { readonly index?: number } = {}): readonly Neigh[] {
  const { index } = filter;
  const body: StreamData = (out) => {
    out.emit(formatNeighbor({ family: AF_UNSPEC }));
    if (index !== undefined) out.push(NDA_IFINDEX, putU32(index));
  };
  const answers = socket.dump({ type: RTM_GETNEIGH, body, what: "list neighbours" });
  return answers.filter(isAboutIp).flatMap((payload) => parseNeigh(payload) ?? []);
}

/** Reads a message about a neighbour, an answer or an event; undefined without an address. */
export function parseNeigh(payload: Buffer): Neigh | undefined {
  const all = attributeMap(payload.subarray(12));
  const dst = all.get(NDA_DST);
  const lladdr = all.get(NDA_LLADDR);
  if (dst === undefined) return undefined;
  return {
    index: payload.readInt32LE(4),
    address: addressFromBytes(dst),
    mac: lladdr === undefined ? undefined : formatMac(lladdr),
    permanent: (payload.readUInt16LE(8) & NUD_PERMANENT) !== 0,
  };
}
