/**
 * Going through what there is of each family.
 *
 * @module
 */
import type { Family } from "../lib/net/address.ts";
import type { Cidr } from "../lib/net/cidr.ts";
import type { Lease, Parts } from "./types.ts";

export const FAMILIES: readonly Family[] = [4, 6];

/** What there is, IPv4 first. */
export function valuesOf<T>(parts: Parts<T>): readonly T[] {
  const { 4: four, 6: six } = parts;
  if (six === undefined) return four === undefined ? [] : [four];
  return four === undefined ? [six] : [four, six];
}

/** The same families with something else. */
export function mapParts<T, U>(parts: Parts<T>, map: (value: T) => U): Parts<U> {
  const { 4: four, 6: six } = parts;
  return { ...(four === undefined ? {} : { 4: map(four) }), ...(six === undefined ? {} : { 6: map(six) }) };
}

/** What there is of the families that `others` has. */
export function pickParts<T>(parts: Parts<T>, others: Parts<unknown>): Parts<T> {
  return Object.fromEntries(Object.entries(parts).filter(([family]) => Object.hasOwn(others, family)));
}

/** The subnets of a lease. */
export function subnetsOf({ parts }: Lease): Parts<Cidr> {
  return mapParts(parts, ({ subnet }) => subnet);
}
