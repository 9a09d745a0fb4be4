/**
 * Choosing addresses: one out of each range set, the next in turn, or the one that was asked for.
 *
 * Works on any {@link LockedStore} and knows nothing of files. Whatever fails, what this call reserved before is
 * free again when it throws.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../errors.ts";
import { type Address, formatAddress, sameAddress } from "../net/address.ts";
import type { Cidr } from "../net/cidr.ts";
import { describeHolder, isHeldBy, isHeldByContainer, type Owner } from "./holder.ts";
import { describe, exhausted, gatewaysOf, isAbandoned, isOneOf, within } from "./pool.ts";
import { addressesAfter, formatRangeSet, type RangeSet, rangeFor } from "./range.ts";
import type { LockedStore, Reservation } from "./store.ts";

/** What one ADD wants. */
export interface Wish {
  readonly owner: Owner;
  readonly sets: readonly RangeSet[];
  /** Addresses that have to be among those given, at most one a set. */
  readonly requested: readonly Address[];
}

/** An address, with the prefix length of its subnet, and the subnet's gateway. */
export interface Allocation {
  readonly address: Cidr;
  readonly gateway: Address;
}

/**
 * Reserves one address out of each set.
 *
 * @param warn is told of each address that is taken over from before the boot.
 * @throws TsnetError `exhausted`, with who holds what in its details; `exists` if the owner has one already;
 * `conflict` or `invalid` for an address asked for.
 */
export function allocate(store: LockedStore, wish: Wish, warn: (message: string) => void): readonly Allocation[] {
  const requested = assign(wish);
  const round = new Round(store, wish, warn);
  try {
    return wish.sets.map((set, i) => round.give(set, i, requested.get(i)));
  } catch (error) {
    round.takeBack();
    throw error;
  }
}

/** Which set gives which of the addresses that were asked for. */
function assign({ sets, requested }: Wish): ReadonlyMap<number, Address> {
  const left = requested.filter((address, i) => requested.findIndex((each) => sameAddress(each, address)) === i);
  const assigned = new Map<number, Address>();
  for (const [i, set] of sets.entries()) {
    const at = left.findIndex((address) => rangeFor(set, address) !== undefined);
    const [address] = at < 0 ? [] : left.splice(at, 1);
    if (address !== undefined) assigned.set(i, address);
  }
  if (left.length > 0) {
    throw new TsnetError(`failed to allocate all requested IPs: ${left.map(formatAddress).join(" ")}`, {
      code: "invalid",
      op: "allocate",
      details: `one address a range set, out of ${sets.map(formatRangeSet).join(" and ")}`,
    });
  }
  return assigned;
}

/** One ADD's way through its sets. */
class Round {
  readonly #store: LockedStore;
  readonly #owner: Owner;
  readonly #gateways: readonly Address[];
  readonly #warn: (message: string) => void;
  readonly #reservations: readonly Reservation[];
  readonly #own: readonly Reservation[];
  readonly #given: Reservation[] = [];

  constructor(store: LockedStore, wish: Wish, warn: (message: string) => void) {
    this.#store = store;
    this.#owner = wish.owner;
    this.#gateways = gatewaysOf(wish.sets);
    this.#warn = warn;
    this.#reservations = store.reservations();
    const naming = store.naming(wish.owner.containerId, this.#reservations);
    this.#own = naming.filter((reservation) => this.#isOwn(reservation));
  }

  give(set: RangeSet, index: number, requested: Address | undefined): Allocation {
    try {
      const taken = within(set, this.#reservations);
      const address = requested === undefined ? this.#next(set, index, taken) : this.#exactly(set, taken, requested);
      this.#store.setLastReserved(index, address);
      return allocationOf(set, address);
    } catch (error) {
      throw new TsnetError(`failed to allocate for range ${index}: ${messageOf(error)}`, {
        code: isTsnetError(error) ? error.code : "io",
        op: "allocate",
        cause: error,
        ...(isTsnetError(error) && error.details !== undefined ? { details: error.details } : {}),
      });
    }
  }

  takeBack(): void {
    for (const reservation of this.#given.splice(0)) {
      try {
        this.#store.release(reservation);
      } catch (error) {
        this.#warn(`could not free ${formatAddress(reservation.address)}: ${messageOf(error)}`);
      }
    }
  }

  #exactly(set: RangeSet, taken: readonly Reservation[], wanted: Address): Address {
    const text = formatAddress(wanted);
    if (isOneOf(this.#gateways, wanted)) {
      throw new TsnetError(`requested ip ${text} is subnet's gateway`, { code: "invalid" });
    }
    const there = taken.find(({ address }) => sameAddress(address, wanted));
    if (there === undefined ? this.#reserve(wanted) : this.#inherit(there)) return wanted;
    throw new TsnetError(`requested IP address ${text} is not available in range set ${formatRangeSet(set)}`, {
      code: "conflict",
      ...(there === undefined ? {} : { details: describe(this.#store, there) }),
    });
  }

  #next(set: RangeSet, index: number, taken: readonly Reservation[]): Address {
    const own = this.#ownIn(taken);
    if (own !== undefined) return own;
    const byNumber = new Map(taken.map((reservation) => [reservation.address.value, reservation]));
    for (const [address] of addressesAfter(set, this.#store.lastReserved(index))) {
      if (isOneOf(this.#gateways, address)) continue;
      const there = byNumber.get(address.value);
      if (there === undefined ? this.#reserve(address) : this.#fill(there)) return address;
    }
    return this.#abandonedIn(set, taken);
  }

  /** What this owner had before the boot is given to it again; what it has had since is its caller's mistake. */
  #ownIn(taken: readonly Reservation[]): Address | undefined {
    const own = this.#own.filter((reservation) => taken.includes(reservation));
    const living = own.find((reservation) => !this.#store.isFromBeforeBoot(reservation));
    if (living !== undefined) {
      const [address, id] = [formatAddress(living.address), this.#owner.containerId];
      throw new TsnetError(`${address} has been allocated to ${id}, duplicate allocation is not allowed`, {
        code: "exists",
      });
    }
    const usable = own.find(({ address }) => !isOneOf(this.#gateways, address));
    if (usable === undefined) return undefined;
    this.#takeOver(usable, "the same container, before the boot");
    return usable.address;
  }

  /** The set is full: what is left is what containers from before the boot never gave back. */
  #abandonedIn(set: RangeSet, taken: readonly Reservation[]): Address {
    const usable = taken.filter(({ address }) => !isOneOf(this.#gateways, address));
    const abandoned = usable.find((reservation) => isAbandoned(this.#store, reservation));
    if (abandoned === undefined) throw exhausted(this.#store, set, usable);
    this.#takeOver(
      abandoned,
      `${describeHolder(this.#store.holderOf(abandoned))} before the boot, as no other is free`,
    );
    return abandoned.address;
  }

  #reserve(address: Address): boolean {
    if (!this.#store.reserve(address, this.#owner)) return false;
    this.#given.push({ address, name: formatAddress(address) });
    return true;
  }

  #fill(there: Reservation): boolean {
    if (this.#store.holderOf(there).kind !== "nobody") return false;
    this.#store.takeOver(there, this.#owner);
    this.#given.push(there);
    return true;
  }

  #inherit(there: Reservation): boolean {
    if (this.#fill(there)) return true;
    if (!this.#isOwn(there) || !this.#store.isFromBeforeBoot(there)) return false;
    this.#takeOver(there, "the same container, before the boot");
    return true;
  }

  #takeOver(there: Reservation, from: string): void {
    this.#warn(`address ${formatAddress(there.address)} goes to ${this.#owner.containerId}: it was held by ${from}`);
    this.#store.takeOver(there, this.#owner);
    this.#given.push(there);
  }

  #isOwn(reservation: Reservation): boolean {
    const holder = this.#store.holderOf(reservation);
    return isHeldBy(holder, this.#owner) || isHeldByContainer(holder, this.#owner);
  }
}

function allocationOf(set: RangeSet, address: Address): Allocation {
  const range = rangeFor(set, address);
  if (range === undefined) throw new TsnetError(`${formatAddress(address)} is out of its range`, { code: "invalid" });
  return { address: { address, prefix: range.subnet.prefix }, gateway: range.gateway };
}
