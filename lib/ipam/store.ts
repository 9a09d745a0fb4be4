/**
 * What the allocator asks of the place where reservations are kept: `disk.ts` is it, `store.fake.ts` its double.
 *
 * @module
 */
import type { Address } from "../net/address.ts";
import type { Holder, Owner } from "./holder.ts";

/** One address that is taken, or was left half-way. */
export interface Reservation {
  readonly address: Address;
  /** The file's name, which a hand may have written otherwise than we would. */
  readonly name: string;
}

/** What can be seen of a network's reservations. */
export interface StoreView {
  reservations(): readonly Reservation[];
  /** Of `reservations`, those whose text may name the container: a look that is quicker than asking who has each. */
  naming(containerId: string, reservations: readonly Reservation[]): readonly Reservation[];
  /** Who has it. Each is read once. */
  holderOf(reservation: Reservation): Holder;
  /** Whether it is older than the host's boot, so that its container cannot live any more. */
  isFromBeforeBoot(reservation: Reservation): boolean;
}

/** What can be done with them while their lock is held. */
export interface LockedStore extends StoreView {
  /** Gives a free address to `owner`; false if somebody has it. */
  reserve(address: Address, owner: Owner): boolean;
  /** Gives what is there to `owner`, at no moment leaving it free. */
  takeOver(reservation: Reservation, owner: Owner): void;
  /** Frees it; fine if it is gone. */
  release(reservation: Reservation): void;
  /** The address given last out of the set of that index, if it is known. */
  lastReserved(set: number): Address | undefined;
  setLastReserved(set: number, address: Address): void;
}

/** The reservations of one network. */
export interface Store {
  /** Whether anything was ever reserved. */
  isThere(): boolean;
  /** Runs `work` with the lock held, which it waits for; makes the store if needed. */
  locked<T>(work: (store: LockedStore) => T): T;
  /** A look without the lock: what it shows may have changed already. */
  view(): StoreView;
}
