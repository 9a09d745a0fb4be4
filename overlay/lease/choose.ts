/**
 * Which subnet this host takes, where hosts choose for themselves: decided on what the others have written, with
 * nothing changed yet.
 *
 * Containers' addresses are never changed under them, so a host that has some takes its subnet of before or none. One
 * that has none takes what it has a lease for, what it had before, or any that is free. The subnet of IPv6 has the same
 * number in its pool as that of IPv4, where it is free, so that two hosts that choose at once choose differently in
 * both if they do in one.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, formatCidr, sameCidr } from "../../lib/net/cidr.ts";
import { FAMILIES, mapParts, valuesOf } from "../parts.ts";
import type { OwnLease } from "../source/source.ts";
import { SubnetTable } from "../subnets.ts";
import type { Claim, NetworkConfig, Parts } from "../types.ts";
import { leadsAstray, relationOf } from "./identity.ts";
import type { LeaseRecord } from "./lease.ts";
import { freeSubnet, numberOf, sizeOf, subnetAt } from "./pool.ts";

/** A key that says a subnet is somebody's. */
export interface Found {
  readonly key: string;
  readonly subnets: Parts<Cidr>;
  /** Undefined for one that cannot be read, which is somebody's all the same. */
  readonly record: LeaseRecord | undefined;
}

export interface Question<F extends Found> {
  readonly config: NetworkConfig;
  readonly found: readonly F[];
  readonly claim: Claim;
  /** What this very claim was given; whatever has come between. */
  readonly held: Parts<Cidr> | undefined;
  /** Take the lease of our address with another MAC, if this claim was given none yet: after that it is a living host. */
  readonly replaceLease: boolean;
  /** From 0 to below 1. */
  readonly random: () => number;
}

export type Choice<F extends Found> =
  | {
      readonly kind: "take";
      readonly subnets: Parts<Cidr>;
      /** What is ours there already; those that are not of `subnets` are to go. */
      readonly own: readonly F[];
    }
  | Exclude<OwnLease, { readonly kind: "held" }>
  /** Another host has our address; what is ours there and tells one that we had is to go. */
  | { readonly kind: "shared"; readonly reason: string; readonly astray: readonly F[] };

export function chooseSubnet<F extends Found>(question: Question<F>): Choice<F> {
  const missing = familyMissing(question);
  if (missing !== undefined) return refused(missing);
  const { own, others, impostor } = sort(question);
  if (impostor !== undefined) {
    const reason = impostorText(impostor, question.claim);
    const astray = own.filter((one) => !isReservation(one) && leadsAstray(one.record?.addresses ?? {}, question.claim));
    return astray.length === 0 ? refused(reason) : { kind: "shared", reason, astray };
  }
  const taken = new SubnetTable();
  for (const { subnets, key } of others) for (const subnet of valuesOf(subnets)) taken.add(subnet, key);
  const view: View<F> = { ...question, taken, others };
  const pinned = question.held ?? (question.claim.pinned ? question.claim.previous : {});
  if (valuesOf(pinned).length > 0) return take(view, pinned, own) ?? lost(view, pinned);
  for (const wanted of [...own.map(({ subnets }) => subnets), question.claim.previous]) {
    const usable = valuesOf(wanted).length > 0 && inPools(wanted, question.config);
    const choice = usable ? take(view, wanted, own) : undefined;
    if (choice !== undefined) return choice;
  }
  return take(view, {}, own) ?? refused(exhaustedText(question));
}

interface View<F extends Found> extends Question<F> {
  readonly taken: SubnetTable;
  readonly others: readonly F[];
}

function familyMissing({ config, claim }: Question<Found>): string | undefined {
  const family = FAMILIES.find((one) => config.networks[one] !== undefined && claim.parts[one] === undefined);
  return family && `the network has IPv${family}, and this host has no IPv${family} address on its underlay`;
}

/** Own ones: first a reservation, by which somebody says what this host shall have. */
function sort<F extends Found>({ found, claim, held, replaceLease }: Question<F>) {
  const own: F[] = [];
  const others: F[] = [];
  let impostor: LeaseRecord | undefined;
  for (const one of found) {
    const relation = one.record === undefined ? "other" : relationOf(one.record, claim);
    // What was ours under this claim, with this address, has been taken over: it is a copy of this host that has.
    const ours = relation === "own" || (relation === "moved" && held === undefined);
    const replaced = relation === "same-address" && replaceLease && held === undefined;
    if (ours || replaced) own.push(one);
    else others.push(one);
    if (relation === "same-address" && !replaced) impostor = one.record;
  }
  own.sort((a, b) => Number(isReservation(b)) - Number(isReservation(a)));
  return { own, others, impostor };
}

export function isReservation({ record }: Found): boolean {
  return record !== undefined && record.lease === undefined;
}

/** With `wanted`, and what is missing of it from what is free; undefined if that cannot be. */
function take<F extends Found>(view: View<F>, wanted: Parts<Cidr>, own: readonly F[]): Choice<F> | undefined {
  const { config, taken } = view;
  let number: bigint | undefined;
  const subnets: { [F in Family]?: Cidr } = {};
  for (const family of FAMILIES) {
    const [network, pool] = [config.networks[family], config.pools[family]];
    if (network === undefined) continue;
    const asked = wanted[family];
    if (asked !== undefined && (!within(network, asked) || taken.overlapping(asked) !== undefined)) return undefined;
    if (asked === undefined && pool === undefined) return undefined;
    const start = pool === undefined ? 0n : (number ?? randomBelow(sizeOf(pool), view.random)) % sizeOf(pool);
    const subnet = asked ?? (pool && freeSubnet(pool, taken, start));
    if (subnet === undefined) return undefined;
    subnets[family] = subnet;
    number ??= pool && numberOf(pool, subnet);
  }
  return { kind: "take", subnets, own };
}

/** Whether IPv6's subnet is the one that goes with that of IPv4. */
export function isPaired(subnets: Parts<Cidr>, { pools }: NetworkConfig): boolean {
  const [four, six] = [subnets[4], subnets[6]];
  if (four === undefined || six === undefined || pools[4] === undefined || pools[6] === undefined) return true;
  const number = numberOf(pools[4], four);
  return number !== undefined && number < sizeOf(pools[6]) && sameCidr(subnetAt(pools[6], number), six);
}

function lost<F extends Found>(view: View<F>, pinned: Parts<Cidr>): Choice<F> {
  const { config, taken, others } = view;
  for (const subnet of valuesOf(pinned)) {
    const network = config.networks[subnet.address.family];
    if (network !== undefined && !within(network, subnet)) {
      return refused(
        `this host's containers have addresses of ${formatCidr(subnet)}, which is not in the network ` +
          `${formatCidr(network)}: remove them first`,
      );
    }
    const holder = taken.overlapping(subnet);
    const found = others.find(({ key }) => key === holder?.key);
    if (found !== undefined) return { kind: "taken", subnets: pinned, holder: holderText(found) };
  }
  return refused(exhaustedText(view));
}

function inPools(wanted: Parts<Cidr>, { networks, pools }: NetworkConfig): boolean {
  return valuesOf(wanted).every((subnet) => {
    const { family } = subnet.address;
    const pool = pools[family];
    return networks[family] === undefined || (pool !== undefined && numberOf(pool, subnet) !== undefined);
  });
}

function within(network: Cidr, subnet: Cidr): boolean {
  return subnet.prefix >= network.prefix && contains(network, subnet.address);
}

function randomBelow(size: bigint, random: () => number): bigint {
  // More subnets than a number counts exactly are many enough already.
  const most = size > 0xffffffffn ? 0xffffffffn : size;
  return BigInt(Math.floor(random() * Number(most)));
}

function refused(reason: string): { readonly kind: "refused"; readonly reason: string } {
  return { kind: "refused", reason };
}

function impostorText({ key, addresses, host, lease }: LeaseRecord, claim: Claim): string {
  const shared = FAMILIES.find((family) => {
    const [theirs, ours] = [addresses[family], claim.parts[family]?.address];
    return theirs !== undefined && ours !== undefined && theirs.value === ours.value;
  });
  const address = shared === undefined ? undefined : claim.parts[shared];
  const text = address === undefined ? "" : formatAddress(address.address);
  const [theirs, ours] = [valuesOf(lease?.parts ?? {})[0]?.mac, valuesOf(claim.parts)[0]?.mac];
  return (
    `${text} is the address of another host: ${key} is ${host === undefined ? "held" : `held by ${host}`} with the ` +
    `MAC ${theirs}, this host has ${ours}. Give one of them another address (--public-ip, --iface); if that was this ` +
    "host with another disk, start it once with --replace-lease"
  );
}

function holderText({ key, record }: Found): string {
  if (record === undefined) return `${key}, which cannot be read`;
  const addresses = valuesOf(mapParts(record.addresses, formatAddress)).join(", ");
  const name = record.host === undefined ? addresses : `${record.host} (${addresses})`;
  return record.lease === undefined ? `${addresses}, for which it is reserved` : name;
}

function exhaustedText({ config }: Question<Found>): string {
  const pools = valuesOf(config.pools).map(
    (pool) => `${sizeOf(pool)} of /${pool.length} from ${formatAddress(pool.min)} to ${formatAddress(pool.max)}`,
  );
  return `no subnet is free for this host: all of ${pools.join(", or all of ")} have one`;
}
