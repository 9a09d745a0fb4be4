/**
 * A store in memory that behaves as the directory does; both pass the cases of `test/lib/ipam/store.cases.ts`.
 *
 * @module
 */
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { formatHolder, type Holder, type Owner, parseHolder } from "./holder.ts";
import type { LockedStore, Reservation, Store } from "./store.ts";

interface FakeFile {
  readonly text: string;
  readonly isFromBeforeBoot: boolean;
}

/** A store whose contents a test can set and see. */
export class FakeStore implements Store, LockedStore {
  readonly #files = new Map<string, FakeFile>();
  readonly #last = new Map<number, Address>();

  /** Puts a file there as somebody else would. */
  put(name: string, text: string, isFromBeforeBoot = false): void {
    this.#files.set(name, { text, isFromBeforeBoot });
  }

  /** All reservations, by name. */
  dump(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#files].sort().map(([name, { text }]) => [name, text]));
  }

  isThere(): boolean {
    return this.#files.size > 0 || this.#last.size > 0;
  }

  locked<T>(work: (store: LockedStore) => T): T {
    return work(this);
  }

  view(): LockedStore {
    return this;
  }

  reservations(): readonly Reservation[] {
    return [...this.#files.keys()].sort().map((name) => ({ name, address: parseAddress(name) }));
  }

  naming(containerId: string, reservations: readonly Reservation[]): readonly Reservation[] {
    return reservations.filter(({ name }) => this.#files.get(name)?.text.includes(containerId));
  }

  holderOf({ name }: Reservation): Holder {
    return parseHolder(this.#files.get(name)?.text ?? "");
  }

  isFromBeforeBoot({ name }: Reservation): boolean {
    return this.#files.get(name)?.isFromBeforeBoot ?? false;
  }

  reserve(address: Address, owner: Owner): boolean {
    const name = formatAddress(address);
    if (this.#files.has(name)) return false;
    this.put(name, formatHolder(owner));
    return true;
  }

  takeOver({ name }: Reservation, owner: Owner): void {
    this.put(name, formatHolder(owner));
  }

  release({ name }: Reservation): void {
    this.#files.delete(name);
  }

  lastReserved(set: number): Address | undefined {
    return this.#last.get(set);
  }

  setLastReserved(set: number, address: Address): void {
    this.#last.set(set, address);
  }
}
