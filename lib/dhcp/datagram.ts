/**
 * UDP in IPv4 by hand: RFC 791, RFC 768. A client speaks before it has an address, when the kernel would not send.
 *
 * @module
 */
import { type Address, addressBytes, addressFromBytes } from "../net/address.ts";

export const SERVER_PORT = 67;
export const CLIENT_PORT = 68;

const IP_BYTES = 20;
const UDP_BYTES = 8;
const UDP = 17;
const TTL = 64;
const VERSION_AND_LENGTH = 0x45;
const FRAGMENT = 0x3fff;

export interface Datagram {
  readonly from: Address;
  readonly to: Address;
  readonly fromPort: number;
  readonly toPort: number;
  readonly payload: Uint8Array;
}

export function encodeDatagram({ from, to, fromPort, toPort, payload }: Datagram): Uint8Array {
  const bytes = Buffer.alloc(IP_BYTES + UDP_BYTES + payload.length);
  bytes[0] = VERSION_AND_LENGTH;
  bytes.writeUInt16BE(bytes.length, 2);
  bytes[8] = TTL;
  bytes[9] = UDP;
  bytes.set(addressBytes(from), 12);
  bytes.set(addressBytes(to), 16);
  bytes.writeUInt16BE(checksum(bytes.subarray(0, IP_BYTES)), 10);
  const udp = bytes.subarray(IP_BYTES);
  udp.writeUInt16BE(fromPort, 0);
  udp.writeUInt16BE(toPort, 2);
  udp.writeUInt16BE(udp.length, 4);
  udp.set(payload, UDP_BYTES);
  // Over a header that is made up of the addresses, the protocol and the length; 0 would mean that there is none.
  const pseudo = Buffer.concat([bytes.subarray(12, 20), Uint8Array.of(0, UDP, udp.length >> 8, udp.length & 0xff)]);
  udp.writeUInt16BE(checksum(Buffer.concat([pseudo, udp])) || 0xffff, 6);
  return bytes;
}

/**
 * Undefined for what is no whole UDP datagram. The checksum is not looked at: of what a server on this very host
 * sends, the kernel leaves it to the hardware that is not there.
 */
export function decodeDatagram(bytes: Buffer): Datagram | undefined {
  const first = bytes[0] ?? 0;
  const header = (first & 0xf) * 4;
  if (first >> 4 !== 4 || header < IP_BYTES || bytes.length < header + UDP_BYTES || bytes[9] !== UDP) return undefined;
  const udp = bytes.subarray(header);
  const length = udp.readUInt16BE(4);
  if ((bytes.readUInt16BE(6) & FRAGMENT) !== 0 || length < UDP_BYTES || length > udp.length) return undefined;
  return {
    from: addressFromBytes(bytes.subarray(12, 16)),
    to: addressFromBytes(bytes.subarray(16, 20)),
    fromPort: udp.readUInt16BE(0),
    toPort: udp.readUInt16BE(2),
    // Short frames come padded.
    payload: udp.subarray(UDP_BYTES, length),
  };
}

/** RFC 1071. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] ?? 0) * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
