/**
 * Packets that no ordinary socket sends: SCTP's INIT and INIT ACK, and a TCP segment far outside of its window.
 *
 * @module
 */
import { addressBytes, parseAddress } from "../../../lib/net/address.ts";
import type { Peer } from "./prober-sockets.ts";

/** RFC 9260, section 3.2: chunk types. */
export const INIT = 1;
export const INIT_ACK = 2;
const COOKIE_PARAMETER = 7;

/** An INIT or INIT ACK with its `cookie`. `tag` is the verification tag: 0 in an INIT, else the INIT's. */
export function sctp(
  from: number,
  to: number,
  type: number,
  tag: number,
  cookie: Uint8Array = new Uint8Array(),
): Uint8Array {
  const parameter = cookie.length === 0 ? 0 : 4 + cookie.length;
  const bytes = new Uint8Array(12 + 20 + Math.ceil(parameter / 4) * 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, from);
  view.setUint16(2, to);
  view.setUint32(4, tag);
  view.setUint8(12, type);
  view.setUint16(14, 20 + parameter);
  view.setUint32(16, TAG);
  view.setUint32(20, 65536);
  view.setUint16(24, 1);
  view.setUint16(26, 1);
  if (parameter > 0) {
    view.setUint16(32, COOKIE_PARAMETER);
    view.setUint16(34, parameter);
    bytes.set(cookie, 36);
  }
  // The checksum is sent with its least significant byte first (RFC 9260, appendix A).
  view.setUint32(8, crc32c(bytes), true);
  return bytes;
}

const TAG = 0x7e57;

export interface Sctp {
  readonly from: number;
  readonly to: number;
  readonly type: number;
  /** Initiate tag. */
  readonly tag: number;
  readonly text: string;
}

/** Reads what {@link sctp} made, as a raw socket hands it out: of IPv4 with the IP header. */
export function parseSctp(packet: Uint8Array, family: 4 | 6): Sctp | undefined {
  const body = family === 4 ? packet.subarray(((packet[0] ?? 0) & 15) * 4) : packet;
  if (body.length < 32) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const end = 12 + view.getUint16(14);
  return {
    from: view.getUint16(0),
    to: view.getUint16(2),
    type: view.getUint8(12),
    tag: view.getUint32(16),
    text: new TextDecoder().decode(body.subarray(36, end)),
  };
}

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** A TCP acknowledgement of no connection's window, less the IP header that the kernel puts before it. */
export function strayAck(from: Peer, to: Peer, sequence: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, from.port);
  view.setUint16(2, to.port);
  view.setUint32(4, sequence);
  view.setUint32(8, sequence);
  view.setUint8(12, 5 << 4);
  view.setUint8(13, 0x10);
  view.setUint16(14, 1024);
  const pseudo = [...addressBytes(parseAddress(from.address)), ...addressBytes(parseAddress(to.address)), 0, 6, 0, 20];
  let sum = 0;
  const all = [...pseudo, ...bytes];
  for (let i = 0; i < all.length; i += 2) sum += ((all[i] ?? 0) << 8) | (all[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(16, ~sum & 0xffff);
  return bytes;
}
