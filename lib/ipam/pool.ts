/**
 * What is taken of a pool, by whom, and when none is left.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, formatAddress, sameAddress } from "../net/address.ts";
import { describeHolder } from "./holder.ts";
import { formatRangeSet, type Range, type RangeSet, rangeFor, sizeOf } from "./range.ts";
import type { Reservation, StoreView } from "./store.ts";

/**
 * Finds out whether an ADD would find an address in each set.
 *
 * @throws TsnetError `exhausted`, with who holds what in its details.
 */
export function checkNotExhausted(view: StoreView, sets: readonly RangeSet[]): void {
  const reservations = view.reservations();
  for (const set of sets) {
    const gateways = gatewaysOf(sets).filter((gateway) => rangeFor(set, gateway) !== undefined);
    const taken = within(set, reservations).filter(({ address }) => !isOneOf(gateways, address));
    if (BigInt(taken.length + gateways.length) < sizeOf(set)) continue;
    if (taken.some((each) => view.holderOf(each).kind === "nobody" || isAbandoned(view, each))) continue;
    throw exhausted(view, set, taken);
  }
}

/** In a message there is room for a /24, not for a /16. */
const MAX_LISTED = 256;

/** The error that says so, with who holds what in its details. */
export function exhausted(view: StoreView, set: RangeSet, taken: readonly Reservation[]): TsnetError {
  const lines = taken.slice(0, MAX_LISTED).map((reservation) => describe(view, reservation));
  if (taken.length > MAX_LISTED) lines.push(`and ${taken.length - MAX_LISTED} more`);
  return new TsnetError(`no IP addresses available in range set: ${formatRangeSet(set)}`, {
    code: "exhausted",
    op: "allocate",
    details: lines.join("\n"),
  });
}

/** `10.1.0.2 is held by web eth0`. */
export function describe(view: StoreView, reservation: Reservation): string {
  return `${formatAddress(reservation.address)} is held by ${describeHolder(view.holderOf(reservation))}`;
}

/** Held by a container of an earlier boot. What a hand wrote stays: it may stand for a printer. */
export function isAbandoned(view: StoreView, reservation: Reservation): boolean {
  const { kind } = view.holderOf(reservation);
  return (kind === "attachment" || kind === "container") && view.isFromBeforeBoot(reservation);
}

/** Those whose addresses are the set's. */
export function within(set: RangeSet, reservations: readonly Reservation[]): readonly Reservation[] {
  return reservations.filter(({ address }) => rangeFor(set, address) !== undefined);
}

/** Every gateway of the config: with a subnet split into sets, one set's gateway lies in another's range. */
export function gatewaysOf(sets: readonly RangeSet[]): readonly Address[] {
  const gateways = sets.flat().map((range: Range) => range.gateway);
  return gateways.filter((gateway, i) => gateways.findIndex((each) => sameAddress(each, gateway)) === i);
}

export function isOneOf(addresses: readonly Address[], address: Address): boolean {
  return addresses.some((each) => sameAddress(each, address));
}
