/**
 * What becomes of this host's claim where somebody else assigns subnets, a file or Kubernetes: it is that subnet or none.
 *
 * @module
 */
import { type Family, formatAddress, sameAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, formatCidr, overlaps, sameCidr } from "../../lib/net/cidr.ts";
import { FAMILIES } from "../parts.ts";
import type { Claim, Lease, NetworkConfig, Parts } from "../types.ts";
import type { OwnLease } from "./source.ts";

export interface Assignment {
  readonly claim: Claim;
  /** What is assigned to this host. */
  readonly subnets: Parts<Cidr>;
  /** Who assigns, as the subject of a sentence: `/etc/tsnet/overlay.yaml`. */
  readonly assigner: string;
  readonly networks: NetworkConfig["networks"];
  /** All but our own. */
  readonly others: Iterable<Lease>;
}

/** Why this host cannot have what it claims; undefined if it can. */
export function objectionTo(assignment: Assignment): Exclude<OwnLease, { readonly kind: "held" }> | undefined {
  const reason = unusable(assignment);
  return reason === undefined ? taken(assignment) : { kind: "refused", reason };
}

/** Of `others` one that has an address of ours on the underlay. */
export function sharesAddress(claim: Claim, others: Iterable<Lease>): { holder: Lease; address: string } | undefined {
  for (const holder of others) {
    for (const family of FAMILIES) {
      const [ours, theirs] = [claim.parts[family]?.address, holder.parts[family]?.address];
      if (ours === undefined || theirs === undefined || !sameAddress(ours, theirs)) continue;
      return { holder, address: formatAddress(ours) };
    }
  }
  return undefined;
}

/** Bridge, VXLAN device, network and broadcast address need two bits. */
const LONGEST = { 4: 30, 6: 126 } as const;

function unusable({ claim, subnets, assigner, networks }: Assignment): string | undefined {
  for (const family of FAMILIES) {
    const [subnet, network] = [subnets[family], networks[family]];
    if (claim.parts[family] === undefined || network === undefined) continue;
    if (subnet === undefined) {
      return `${assigner} gives this host no IPv${family} subnet of the network ${formatCidr(network)}`;
    }
    if (subnet.prefix < network.prefix || !contains(network, subnet.address)) {
      return `${assigner} gives this host ${formatCidr(subnet)}, which is not in the network ${formatCidr(network)}`;
    }
    if (subnet.prefix > LONGEST[family]) {
      return `${assigner} gives this host ${formatCidr(subnet)}: wanted is /${LONGEST[family]} at most`;
    }
  }
  return undefined;
}

/** Containers' addresses are never changed under them: another subnet than theirs will not do. */
function taken({ claim, subnets, assigner, others }: Assignment): (OwnLease & { readonly kind: "taken" }) | undefined {
  if (!claim.pinned) return undefined;
  const lost: { [F in Family]?: Cidr } = {};
  const instead: string[] = [];
  for (const family of FAMILIES) {
    const [previous, subnet] = [claim.previous[family], subnets[family]];
    if (previous === undefined || (subnet !== undefined && sameCidr(previous, subnet))) continue;
    lost[family] = previous;
    if (subnet !== undefined) instead.push(formatCidr(subnet));
  }
  if (lost[4] === undefined && lost[6] === undefined) return undefined;
  const holder =
    holderOf(lost, others) ?? `nobody (${assigner} gives this host ${instead.join(" and ") || "none"} now)`;
  return { kind: "taken", subnets: lost, holder };
}

function holderOf(subnets: Parts<Cidr>, others: Iterable<Lease>): string | undefined {
  for (const lease of others) {
    for (const family of FAMILIES) {
      const [ours, theirs] = [subnets[family], lease.parts[family]?.subnet];
      if (ours !== undefined && theirs !== undefined && overlaps(ours, theirs)) return lease.host;
    }
  }
  return undefined;
}
