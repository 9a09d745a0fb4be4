/**
 * What a source has told of its leases, so that it tells only what has changed. For sources that see the whole of each
 * record whenever anything about it changes: a file that is read again, a Node that reports its health.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import type { Lease } from "../types.ts";
import type { SourceEvents } from "./source.ts";

type Told = Pick<SourceEvents, "leases" | "changed" | "gone" | "malformed">;

export class Ledger {
  readonly #events: Told;
  readonly #leases = new Map<string, Lease>();
  /** Reasons, by key. */
  readonly #malformed = new Map<string, string>();
  /** While all are read: what was there before and has not been seen. */
  #unseen = new Set<string>();
  /** Whether all have been told of once. */
  #complete = false;

  constructor(events: Told) {
    this.#events = events;
  }

  /** Those that can be read, and those that could be before they were spoilt, as of whenever they are gone through. */
  get leases(): Iterable<Lease> {
    return { [Symbol.iterator]: () => this.#leases.values() };
  }

  /** Why the record cannot be read, if so. */
  reasonOf(key: string): string | undefined {
    return this.#malformed.get(key);
  }

  /** All follow: what is not named until {@link end} is gone. */
  begin(): void {
    this.#unseen = new Set([...this.#leases.keys(), ...this.#malformed.keys()]);
  }

  set(lease: Lease): void {
    this.#unseen.delete(lease.key);
    const mended = this.#malformed.delete(lease.key);
    const before = this.#leases.get(lease.key);
    this.#leases.set(lease.key, lease);
    if (this.#complete && (mended || !isDeepStrictEqual(before, lease))) this.#events.changed(lease);
  }

  malformed(key: string, reason: string): void {
    this.#unseen.delete(key);
    if (this.#malformed.get(key) === reason) return;
    this.#malformed.set(key, reason);
    if (this.#complete) this.#events.malformed(key, reason);
  }

  delete(key: string): void {
    this.#unseen.delete(key);
    const known = [this.#leases.delete(key), this.#malformed.delete(key)].includes(true);
    if (known && this.#complete) this.#events.gone(key);
  }

  end(): void {
    for (const key of this.#unseen) this.delete(key);
    if (this.#complete) return;
    this.#complete = true;
    this.#events.leases([...this.#leases.values()]);
    for (const [key, reason] of this.#malformed) this.#events.malformed(key, reason);
  }
}
