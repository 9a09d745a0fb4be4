/**
 * The part of a network config that says what hosts' subnets are cut from it, by flannel's rules: a /24 or a /64 each
 * where that makes four at least, otherwise a quarter of the network; the network's first subnet is left out, as its
 * first address is the network's own.
 *
 * @module
 */
import { type Address, bitsOf, type Family, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, firstOf, formatCidr, lastOf } from "../../lib/net/cidr.ts";
import type { SubnetPool } from "../types.ts";
import type { Section } from "./section.ts";

interface PoolKeys {
  readonly length: string;
  readonly min: string;
  readonly max: string;
  /** The length that a subnet has unless the network is too small for four of them. */
  readonly usual: number;
  /** Bridge, VXLAN device, network and broadcast address need two bits. */
  readonly longest: number;
}

export const POOL_KEYS: Readonly<Record<Family, PoolKeys>> = {
  4: { length: "SubnetLen", min: "SubnetMin", max: "SubnetMax", usual: 24, longest: 30 },
  6: { length: "IPv6SubnetLen", min: "IPv6SubnetMin", max: "IPv6SubnetMax", usual: 64, longest: 126 },
};

/** Undefined where something is wrong with it, which the section has been told. */
export function parsePool(section: Section, network: Cidr): SubnetPool | undefined {
  const length = lengthOf(section, network);
  if (length === undefined) return undefined;
  const { family } = network.address;
  const size = 1n << BigInt(bitsOf(family) - length);
  const { min: minKey, max: maxKey } = POOL_KEYS[family];
  const min = edge(section, minKey, { network, size }) ?? { family, value: firstOf(network).value + size };
  const max = edge(section, maxKey, { network, size }) ?? { family, value: lastOf(network).value + 1n - size };
  if (min.value > max.value) {
    section.problem(maxKey, `${formatAddress(max)} comes before ${minKey}, ${formatAddress(min)}`);
  }
  return { length, min, max };
}

function lengthOf(section: Section, network: Cidr): number | undefined {
  const keys = POOL_KEYS[network.address.family];
  // Zero means unset in Go.
  const given = section.whole(keys.length, 0, keys.longest);
  if (section.has(keys.length) && given === undefined) return undefined;
  const length = given === undefined || given === 0 ? Math.max(keys.usual, network.prefix + 2) : given;
  if (length <= keys.longest && length >= network.prefix + 2) return length;
  section.problem(
    keys.length,
    given === undefined || given === 0
      ? `${formatCidr(network)} is too small to make four subnets of it: a network of /${keys.longest - 2} at most is wanted`
      : `${formatCidr(network)} has no room for four subnets of /${length}: wanted is ${network.prefix + 2} at least`,
  );
  return undefined;
}

/** `SubnetMin` or `SubnetMax`: the first address of a subnet of the network. */
function edge(section: Section, key: string, { network, size }: { network: Cidr; size: bigint }): Address | undefined {
  const address = section.parsed(key, "an IP address", parseAddress);
  if (address === undefined || address.value === 0n) return undefined;
  if (!contains(network, address)) {
    section.problem(key, `${formatAddress(address)} is not in ${formatCidr(network)}`);
    return undefined;
  }
  if (address.value % size !== 0n) {
    const begins: Address = { family: address.family, value: address.value - (address.value % size) };
    section.problem(key, `${formatAddress(address)} is not where a subnet begins: ${formatAddress(begins)} is`);
  }
  return address;
}
