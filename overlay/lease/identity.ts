/**
 * Who is who among leases: whether one is this host's own, from before, or that of another host which looks like it.
 *
 * A host is known by its address on the underlay and the MAC of its VTEP. Both the same: it is this host, started
 * again. The same address with another MAC: two hosts have one address, or this one lost its disk. The same MAC with
 * another address: this host has moved, if it goes by the same name; otherwise it is a copy of another host's disk.
 *
 * @module
 */
import { type Address, type Family, sameAddress } from "../../lib/net/address.ts";
import { overlaps } from "../../lib/net/cidr.ts";
import { FAMILIES, valuesOf } from "../parts.ts";
import type { Claim, Parts } from "../types.ts";
import type { LeaseRecord } from "./lease.ts";

/** Of a record to the host of a claim. */
export type Relation = "own" | "moved" | "same-address" | "other";

export function relationOf(record: LeaseRecord, claim: Claim): Relation {
  const same = FAMILIES.some((family) => hasAddress(record, claim, family));
  const mac = compareMacs(record, claim);
  if (same) return mac === "differ" ? "same-address" : "own";
  return hasMoved(record, claim, mac === "same") ? "moved" : "other";
}

/**
 * Whether others are told an address that this host had and has no more. Packets for it go to whoever has that now, who
 * is kept from telling so himself.
 */
export function leadsAstray(addresses: Parts<Address>, claim: Claim): boolean {
  const { present } = claim;
  if (present === undefined) return false;
  const ours = [...present, ...FAMILIES.flatMap((family) => claim.parts[family]?.address ?? [])];
  return valuesOf(addresses).some((told) => !ours.some((address) => sameAddress(address, told)));
}

function hasAddress({ addresses }: LeaseRecord, claim: Claim, family: Family): boolean {
  const [theirs, ours] = [addresses[family], claim.parts[family]?.address];
  return theirs !== undefined && ours !== undefined && sameAddress(theirs, ours);
}

/** `unknown`: one has none of a family that the other has, as with host-gw, and in a reservation. */
function compareMacs({ lease }: LeaseRecord, claim: Claim): "same" | "differ" | "unknown" {
  let found: "same" | "unknown" = "unknown";
  for (const family of FAMILIES) {
    const [theirs, ours] = [lease?.parts[family]?.mac, claim.parts[family]?.mac];
    if (theirs === undefined || ours === undefined) continue;
    if (theirs !== ours) return "differ";
    found = "same";
  }
  return found;
}

/** By the host's name; flannel writes none, and then the containers' subnet has to be the same. */
function hasMoved({ host, lease, subnets }: LeaseRecord, claim: Claim, sameMac: boolean): boolean {
  if (host === undefined ? !sameMac : host !== claim.host) return false;
  const before = FAMILIES.some((family) => {
    const [theirs, ours] = [subnets[family], claim.previous[family]];
    return theirs !== undefined && ours !== undefined && overlaps(theirs, ours);
  });
  return host === undefined ? before : sameMac || (before && lease !== undefined);
}
