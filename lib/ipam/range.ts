/**
 * Address ranges and sets of them, validated. Pure.
 *
 * A range is a stretch of one subnet; a set is ranges of one family, out of which a container gets one address.
 * The rules and texts are the reference host-local's, which people search their logs for.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, bitsOf, compareAddress, formatAddress, sameAddress } from "../net/address.ts";
import { type Cidr, contains, firstOf, formatCidr, lastOf } from "../net/cidr.ts";

/** What a config says of a range. */
export interface RangeSpec {
  readonly subnet: Cidr;
  readonly rangeStart?: Address;
  readonly rangeEnd?: Address;
  readonly gateway?: Address;
}

/** A range with everything filled in; `start` and `end` are both part of it. */
export interface Range {
  readonly subnet: Cidr;
  readonly start: Address;
  readonly end: Address;
  readonly gateway: Address;
}

export type RangeSet = readonly Range[];

/**
 * Fills in and checks the sets of a config.
 *
 * @throws TsnetError `invalid`.
 */
export function buildRangeSets(specs: readonly (readonly RangeSpec[])[]): readonly RangeSet[] {
  const sets = specs.map((set, i) => {
    try {
      return buildSet(set);
    } catch (cause) {
      throw new TsnetError(`invalid range set ${i}: ${cause instanceof Error ? cause.message : cause}`, {
        code: "invalid",
        cause,
      });
    }
  });
  for (const [i, set] of sets.entries()) {
    const other = sets.findIndex((each, j) => j > i && setsOverlap(set, each));
    if (other >= 0) throw invalid(`range set ${i} overlaps with ${other}`);
  }
  return sets;
}

/** The range of the set that holds the address. */
export function rangeFor(set: RangeSet, address: Address): Range | undefined {
  return set.find((range) => holds(range, address));
}

/** `10.1.0.1-10.1.0.254`, ranges separated by commas. */
export function formatRangeSet(set: RangeSet): string {
  return set.map(formatRange).join(",");
}

/** How many addresses the set has, with no regard to gateways. */
export function sizeOf(set: RangeSet): bigint {
  return set.reduce((sum, range) => sum + range.end.value - range.start.value + 1n, 0n);
}

/** Every address of the set once, with its range: from the one after `last` on, round to `last` itself. */
export function* addressesAfter(set: RangeSet, last: Address | undefined): Generator<readonly [Address, Range]> {
  const first = last === undefined ? -1 : set.findIndex((range) => holds(range, last));
  if (last === undefined || first < 0) {
    for (const range of set) yield* walk(range, range.start.value, range.end.value);
    return;
  }
  for (let turn = 0; turn <= set.length; turn++) {
    const range = set[(first + turn) % set.length];
    if (range === undefined) return;
    const from = turn === 0 ? last.value + 1n : range.start.value;
    const to = turn === set.length ? last.value : range.end.value;
    yield* walk(range, from, to);
  }
}

function* walk(range: Range, from: bigint, to: bigint): Generator<readonly [Address, Range]> {
  const { family } = range.start;
  for (let value = from; value <= to; value++) yield [{ family, value }, range];
}

function buildSet(specs: readonly RangeSpec[]): RangeSet {
  const set = specs.map(buildRange);
  const [first] = set;
  if (first === undefined) throw invalid("empty range set");
  if (set.some((range) => range.start.family !== first.start.family)) throw invalid("mixed address families");
  for (const [i, range] of set.entries()) {
    const other = set.find((each, j) => j > i && rangesOverlap(range, each));
    if (other !== undefined) throw invalid(`subnets ${formatRange(range)} and ${formatRange(other)} overlap`);
  }
  return set;
}

function buildRange({ subnet, rangeStart, rangeEnd, gateway }: RangeSpec): Range {
  const network = firstOf(subnet);
  const { family } = network;
  if (subnet.prefix > bitsOf(family) - 2) throw invalid(`Network ${formatCidr(subnet)} too small to allocate from`);
  if (!sameAddress(network, subnet.address)) {
    const length = subnet.prefix;
    throw invalid(
      `Network has host bits set. For a subnet mask of length ${length} the network address is ${formatAddress(network)}`,
    );
  }
  // IPv6 has no broadcast address to leave out.
  const last = { family, value: lastOf(subnet).value - (family === 4 ? 1n : 0n) };
  const next = { family, value: network.value + 1n };
  const [start, end] = [rangeStart ?? next, rangeEnd ?? last];
  if (!contains(subnet, start)) throw notIn("RangeStart", start, subnet);
  if (!contains(subnet, end)) throw notIn("RangeEnd", end, subnet);
  if (compareAddress(start, end) > 0) {
    throw invalid(`RangeStart ${formatAddress(start)} is above RangeEnd ${formatAddress(end)}`);
  }
  return { subnet, start, end, gateway: gateway ?? next };
}

function holds(range: Range, address: Address): boolean {
  return (
    range.start.family === address.family && range.start.value <= address.value && address.value <= range.end.value
  );
}

function rangesOverlap(a: Range, b: Range): boolean {
  return a.start.family === b.start.family && a.start.value <= b.end.value && b.start.value <= a.end.value;
}

function setsOverlap(a: RangeSet, b: RangeSet): boolean {
  return a.some((range) => b.some((other) => rangesOverlap(range, other)));
}

function formatRange(range: Range): string {
  return `${formatAddress(range.start)}-${formatAddress(range.end)}`;
}

function notIn(what: string, address: Address, subnet: Cidr): TsnetError {
  return invalid(`${what} ${formatAddress(address)} not in network ${formatCidr(subnet)}`);
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "read ranges" });
}
