/**
 * An address with the length of its network's prefix: `10.1.0.5/24`.
 *
 * The host bits are kept, since the same text names an address of an interface and, with them cleared, its
 * network; `networkOf` goes from the first to the second.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, bitsOf, formatAddress, parseAddress } from "./address.ts";

/** An address and a prefix length in bits; host bits are kept. */
export interface Cidr {
  readonly address: Address;
  readonly prefix: number;
}

/**
 * Reads `10.1.0.5/24` or `fd00::5/64`. An IPv4-mapped address with a prefix of 96 or more is IPv4.
 *
 * @throws TsnetError `invalid` for anything else.
 */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf("/");
  const length = text.slice(slash + 1);
  if (slash < 0 || !PREFIX.test(length)) throw invalid(text);
  const address = addressOf(text, text.slice(0, slash));
  const mapped = address.family === 4 && text.includes(":");
  const prefix = Number(length) - (mapped ? 96 : 0);
  if (prefix < 0 || prefix > bitsOf(address.family)) throw invalid(text);
  return { address, prefix };
}

/** `10.1.0.5/24`, the address in canonical form. */
export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.address)}/${cidr.prefix}`;
}

/** The same with the host bits cleared. */
export function networkOf(cidr: Cidr): Cidr {
  return { address: firstOf(cidr), prefix: cidr.prefix };
}

/** The first address of the network, the network's own. */
export function firstOf(cidr: Cidr): Address {
  const { family, value } = cidr.address;
  return { family, value: value & ~hostMask(cidr) };
}

/** The last address of the network; for IPv4 its broadcast address. */
export function lastOf(cidr: Cidr): Address {
  const { family, value } = cidr.address;
  return { family, value: value | hostMask(cidr) };
}

/** Whether the address lies in the network. */
export function contains(cidr: Cidr, address: Address): boolean {
  const host = BigInt(bitsOf(cidr.address.family) - cidr.prefix);
  return cidr.address.family === address.family && cidr.address.value >> host === address.value >> host;
}

/** Whether the two networks share an address. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.prefix <= b.prefix ? contains(a, b.address) : contains(b, a.address);
}

/** Whether address and prefix are the same. */
export function sameCidr(a: Cidr, b: Cidr): boolean {
  return a.prefix === b.prefix && a.address.family === b.address.family && a.address.value === b.address.value;
}

const PREFIX = /^(0|[1-9]\d{0,2})$/;

function hostMask(cidr: Cidr): bigint {
  return (1n << BigInt(bitsOf(cidr.address.family) - cidr.prefix)) - 1n;
}

function addressOf(text: string, part: string): Address {
  try {
    return parseAddress(part);
  } catch (error) {
    throw invalid(text, error);
  }
}

function invalid(text: string, cause?: unknown): TsnetError {
  return new TsnetError(`invalid CIDR address: ${JSON.stringify(text)}`, { code: "invalid", cause });
}
