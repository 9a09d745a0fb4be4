/**
 * Where a frontend stands among all: the bits of its address, its protocol and its port, as hexadecimal digits. Their
 * order is the order of rules, and what begins alike can be told from the rest by one match.
 *
 * @module
 */
import { formatAddress, parseAddress } from "../../lib/net/address.ts";
import type { Protocol } from "../objects/objects.ts";

const PROTOCOLS = ["tcp", "udp", "sctp"] as const;
const PROTOCOL_BITS = 4;
const PORT_BITS = 16;

/** A node port, whose address is empty, has a key of protocol and port alone. */
export function frontendKey(
  family: 4 | 6,
  protocol: Protocol,
  { address, port }: { readonly address: string; readonly port: number },
): string {
  const digits = family === 4 ? 8 : 32;
  const where = address === "" ? "" : parseAddress(address).value.toString(16).padStart(digits, "0");
  return `${where}${PROTOCOLS.indexOf(protocol)}${port.toString(16).padStart(4, "0")}`;
}

/** `count` bits of a key, at most 4, from bit `from` on; behind its end there are zeros. */
export function bitsAt(key: string, from: number, count: number): number {
  const at = from >> 2;
  const byte = Number.parseInt(key.slice(at, at + 2).padEnd(2, "0"), 16);
  return (byte >> (8 - (from & 3) - count)) & ((1 << count) - 1);
}

/** How many bits two keys begin alike. */
export function commonBits(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  if (at === a.length) return 4 * at;
  const different = Number.parseInt(a[at] ?? "0", 16) ^ Number.parseInt(b[at] ?? "0", 16);
  return 4 * at + Math.clz32(different) - 28;
}

/**
 * All that begins as `key` does for `bits` bits: what it is called, and a match that lets nothing of it pass by, but
 * may let others in.
 */
export function prefixOf(key: string, bits: number): { readonly place: string; readonly match: string } {
  const addressBits = 4 * (key.length - 5);
  const places: string[] = [];
  const matches: string[] = [];
  if (addressBits > 0) {
    const length = Math.min(bits, addressBits);
    const text = addressText(key, length);
    // A chain's name has no colons.
    places.push(`${text.replaceAll(":", ".")}-${length}`);
    if (length > 0) matches.push(`-d ${text}/${length}`);
  }
  if (bits > addressBits && bits < addressBits + PROTOCOL_BITS) places.push(`protocols-${bits - addressBits}`);
  if (bits >= addressBits + PROTOCOL_BITS) {
    const protocol = PROTOCOLS[bitsAt(key, addressBits, PROTOCOL_BITS)] ?? "tcp";
    places.push(protocol);
    matches.push(`-p ${protocol}`);
    const ports = bits - addressBits - PROTOCOL_BITS;
    if (ports > 0) {
      const [first, last] = portRange(key, ports);
      places.push(`${first}-${last}`);
      matches.push(`-m ${protocol} --dport ${first === last ? first : `${first}:${last}`}`);
    }
  }
  return { place: places.join("-"), match: matches.join(" ") };
}

function addressText(key: string, length: number): string {
  const digits = key.slice(0, -5);
  const host = BigInt(4 * digits.length - length);
  const value = (BigInt(`0x${digits}`) >> host) << host;
  return formatAddress({ family: digits.length === 8 ? 4 : 6, value });
}

function portRange(key: string, bits: number): readonly [number, number] {
  const port = Number.parseInt(key.slice(-4), 16);
  const size = 2 ** (PORT_BITS - bits);
  const first = port - (port % size);
  return [first, first + size - 1];
}
