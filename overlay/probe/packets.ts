/**
 * The packets that probes send, each with its checksum computed here: pure values.
 *
 * @module
 */
import { type Address, addressBytes, type Family } from "../../lib/net/address.ts";

/** linux/in.h */
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;

/** An echo request (RFC 792, RFC 4443 section 4.1). The kernel writes the checksum of IPv6's, which covers addresses. */
export function echoRequest(
  family: Family,
  { id, sequence, data }: { readonly id: number; readonly sequence: number; readonly data: Uint8Array },
): Buffer {
  const packet = Buffer.alloc(8 + data.length);
  packet[0] = family === 4 ? 8 : 128;
  packet.writeUInt16BE(id, 4);
  packet.writeUInt16BE(sequence, 6);
  packet.set(data, 8);
  if (family === 4) packet.writeUInt16BE(checksum(packet), 2);
  return packet;
}

/** What stands behind the head of an echo reply to `id`; undefined for any other packet. */
export function echoReply(family: Family, packet: Buffer, id: number): Buffer | undefined {
  if (packet.length < 8 || packet[0] !== (family === 4 ? 0 : 129) || packet.readUInt16BE(4) !== id) return undefined;
  return packet.subarray(8);
}

/** Two ends of a conversation over TCP or UDP. */
export interface Ends {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly port: number;
}

/** RFC 9293 section 3.1. */
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_ACK = 0x10;

/** A TCP segment without data (RFC 9293), as the kernel's own as can be: with the option that all systems send first. */
export function tcpSegment(
  ends: Ends,
  { flags, sequence }: { readonly flags: number; readonly sequence: number },
): Buffer {
  const packet = Buffer.alloc(24);
  packet.writeUInt16BE(ends.sourcePort, 0);
  packet.writeUInt16BE(ends.port, 2);
  packet.writeUInt32BE(sequence, 4);
  if ((flags & TCP_ACK) !== 0) packet.writeUInt32BE(sequence, 8);
  // Six words of header; a window of any size; the segment size, kind 2, length 4, 1,200 bytes.
  packet.writeUInt16BE((6 << 12) | flags, 12);
  packet.writeUInt16BE(64_240, 14);
  packet.writeUInt32BE((2 << 24) | (4 << 16) | 1200, 20);
  packet.writeUInt16BE(transportChecksum(ends, IPPROTO_TCP, packet), 16);
  return packet;
}

/**
 * A UDP datagram of nothing (RFC 768). Over IPv4 without a checksum, so that none can be wrong; over IPv6, which wants
 * one, with that of software.
 */
export function emptyUdp(ends: Ends): Buffer {
  const packet = Buffer.alloc(8);
  packet.writeUInt16BE(ends.sourcePort, 0);
  packet.writeUInt16BE(ends.port, 2);
  packet.writeUInt16BE(8, 4);
  if (ends.source.family === 6) packet.writeUInt16BE(transportChecksum(ends, IPPROTO_UDP, packet) || 0xffff, 6);
  return packet;
}

/** Of TCP and UDP: with the pseudo-header of RFC 9293 section 3.1 or RFC 8200 section 8.1 before it. */
function transportChecksum({ source, destination }: Ends, protocol: number, packet: Buffer): number {
  // Two words, of which only the low ends are not zero: the sum is the same for both families.
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(protocol, 0);
  tail.writeUInt16BE(packet.length, 2);
  return checksum(Buffer.concat([addressBytes(source), addressBytes(destination), tail, packet]));
}

/** RFC 1071: of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
