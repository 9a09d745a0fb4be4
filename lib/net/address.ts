/**
 * IP addresses as values: a family and a number.
 *
 * Every address that comes from a config, a result or the kernel becomes one of these at the door, and only they
 * are compared, counted and printed further in. Written on bigint here rather than on a library, because this is
 * on the path of every plugin call, where loading one costs more than all the arithmetic.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

/** IPv4 or IPv6. */
export type Family = 4 | 6;

/** An address: `value` is its number in network order, so that `+ 1n` is the next one. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/**
 * Reads `10.1.0.5` or `fd00::5`. An IPv4-mapped IPv6 address (`::ffff:10.1.0.5`) is the IPv4 address.
 *
 * @throws TsnetError `invalid` for anything else, also for zones (`fe80::1%eth0`) and octets with leading zeros.
 */
export function parseAddress(text: string): Address {
  const address = text.includes(":") ? parseIPv6(text) : parseIPv4(text);
  if (address === undefined) throw new TsnetError(`invalid IP address: ${JSON.stringify(text)}`, { code: "invalid" });
  return address;
}

/** The canonical text: dotted for IPv4, RFC 5952 for IPv6. */
export function formatAddress(address: Address): string {
  return address.family === 4 ? formatIPv4(Number(address.value)) : formatIPv6(address.value);
}

/** The address in network byte order, 4 or 16 bytes. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = new Uint8Array(address.family === 4 ? 4 : 16);
  let rest = address.value;
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/**
 * The address of 4 or 16 bytes in network order; 16 bytes that hold an IPv4-mapped one are the IPv4 address.
 *
 * @throws TsnetError `invalid` for any other length.
 */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new TsnetError(`an IP address has 4 or 16 bytes, not ${bytes.length}`, { code: "invalid" });
  }
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return bytes.length === 4 ? { family: 4, value } : unmapped(value);
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value;
}

/** Negative, zero or positive, as sort wants it: IPv4 before IPv6, then by number. */
export function compareAddress(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

/** How many bits an address of the family has. */
export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

const DOT = 0x2e;
const ZERO = 0x30;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;
// ::ffff:0:0/96, RFC 4291 section 2.5.5.2.
const MAPPED = 0xffffn;

/** Digit by digit: for a thousand leases at an agent's start a pattern's matches are too much. */
function parseIPv4(text: string): Address | undefined {
  let [value, octet, digits, dots] = [0, 0, 0, 0];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (digits === 0) return undefined;
      value = value * 256 + octet;
      octet = digits = 0;
      dots++;
      continue;
    }
    const digit = code - ZERO;
    const leadingZero = digits > 0 && octet === 0;
    octet = octet * 10 + digit;
    digits++;
    if (digit < 0 || digit > 9 || leadingZero || octet > 255) return undefined;
  }
  return dots === 3 && digits > 0 ? { family: 4, value: BigInt(value * 256 + octet) } : undefined;
}

function parseIPv6(text: string): Address | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head = "", tail] = halves;
  const before = head === "" && tail !== undefined ? [] : groupsOf(head, tail === undefined);
  const after = tail === undefined || tail === "" ? [] : groupsOf(tail, true);
  if (before === undefined || after === undefined) return undefined;
  const missing = 8 - before.length - after.length;
  // "::" stands for one group at least.
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (const group of before) value = (value << 16n) | BigInt(group);
  value <<= BigInt(16 * missing);
  for (const group of after) value = (value << 16n) | BigInt(group);
  return unmapped(value);
}

/** The 16-bit groups of one side of the "::"; only the last side may end in dotted IPv4. */
function groupsOf(text: string, last: boolean): readonly number[] | undefined {
  const groups: number[] = [];
  const parts = text.split(":");
  if (parts.length > 8) return undefined;
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes(".")) {
      const embedded = parseIPv4(part);
      if (embedded === undefined) return undefined;
      groups.push(Number(embedded.value >> 16n), Number(embedded.value & 0xffffn));
    } else if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

function unmapped(value: bigint): Address {
  return value >> 32n === MAPPED ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

function formatIPv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function formatIPv6(value: bigint): string {
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn));
  const [start, length] = longestZeroRun(groups);
  const hex = (some: readonly number[]) => some.map((group) => group.toString(16)).join(":");
  // RFC 5952 section 4.2.2: a single zero group is not shortened.
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** Start and length of the first longest run of zero groups. */
function longestZeroRun(groups: readonly number[]): readonly [number, number] {
  let best: readonly [number, number] = [0, 0];
  let run = 0;
  for (const [i, group] of groups.entries()) {
    run = group === 0 ? run + 1 : 0;
    if (run > best[1]) best = [i - run + 1, run];
  }
  return best;
}
