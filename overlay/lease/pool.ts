/**
 * Picks a free subnet of a pool.
 *
 * @module
 */
import { bitsOf } from "../../lib/net/address.ts";
import { type Cidr, lastOf } from "../../lib/net/cidr.ts";
import type { SubnetTable } from "../subnets.ts";
import type { SubnetPool } from "../types.ts";

/** How many subnets there are. */
export function sizeOf(pool: SubnetPool): bigint {
  return (pool.max.value - pool.min.value) / stepOf(pool) + 1n;
}

/** The subnet of that number, from 0. */
export function subnetAt(pool: SubnetPool, number: bigint): Cidr {
  const { min, length } = pool;
  return { address: { family: min.family, value: min.value + number * stepOf(pool) }, prefix: length };
}

/** The number that a subnet of the pool has; undefined for one that is not of it. */
export function numberOf(pool: SubnetPool, { address, prefix }: Cidr): bigint | undefined {
  const { min, max, length } = pool;
  const isOf = address.family === min.family && prefix === length && address.value >= min.value;
  return isOf && address.value <= max.value ? (address.value - min.value) / stepOf(pool) : undefined;
}

/** The first subnet from number `start` on, round to it again, that shares no address with a taken one. */
export function freeSubnet(pool: SubnetPool, taken: SubnetTable, start: bigint): Cidr | undefined {
  const [size, step] = [sizeOf(pool), stepOf(pool)];
  for (let passed = 0n; passed < size; ) {
    const subnet = subnetAt(pool, (start + passed) % size);
    const holder = taken.overlapping(subnet);
    if (holder === undefined) return subnet;
    // One that is larger than ours covers several of them.
    const beyond = (lastOf(holder.subnet).value + 1n - subnet.address.value + step - 1n) / step;
    passed += beyond > 1n ? beyond : 1n;
  }
  return undefined;
}

/** Addresses from the beginning of a subnet to that of the next. */
function stepOf({ length, min }: SubnetPool): bigint {
  return 1n << BigInt(bitsOf(min.family) - length);
}
