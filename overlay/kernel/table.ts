/**
 * What is wanted in the kernel, by slot and by whom.
 *
 * Two peers that want the same slot cannot both have it. The first keeps it; the other has nothing at all, as half of
 * what it needs would send its packets to the first.
 *
 * @module
 */
import { type Entry, sameEntry } from "./entry.ts";

/** What setting one owner's entries comes to. */
export interface TableChange {
  /** To be sent: new, or other than before. */
  readonly put: readonly Entry[];
  /** To be deleted: nobody wants their slots any more. */
  readonly drop: readonly Entry[];
  /** The owner that has a slot already, and what it wants there. */
  readonly clash: { readonly with: string; readonly entry: Entry } | undefined;
}

interface Holding {
  readonly entry: Entry;
  readonly owner: string;
}

export class WantedTable {
  readonly #slots = new Map<string, Holding>();
  readonly #owners = new Map<string, readonly Entry[]>();

  /** What shall be in a slot. */
  get(slot: string): Entry | undefined {
    return this.#slots.get(slot)?.entry;
  }

  ownerOf(slot: string): string | undefined {
    return this.#slots.get(slot)?.owner;
  }

  /** What of it is `owner`'s. */
  of(owner: string): readonly Entry[] {
    return this.#owners.get(owner) ?? [];
  }

  entries(): Iterable<Entry> {
    return this.#slots.values().map((holding) => holding.entry);
  }

  /** Exactly these entries are `owner`'s; what of its others nobody has now is to go. */
  set(owner: string, entries: readonly Entry[]): TableChange {
    const clash = this.#clash(owner, entries);
    const kept = clash === undefined ? entries : [];
    const before = this.#owners.get(owner) ?? [];
    const put: Entry[] = [];
    for (const entry of kept) {
      const holding = this.#slots.get(entry.slot);
      if (holding === undefined || !sameEntry(holding.entry, entry)) put.push(entry);
      this.#slots.set(entry.slot, { entry, owner });
    }
    const drop = before.length === 0 ? [] : this.#dropOthers(before, kept);
    if (kept.length === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, kept);
    return { put, drop, clash };
  }

  #clash(owner: string, entries: readonly Entry[]): TableChange["clash"] {
    for (const entry of entries) {
      const holding = this.#slots.get(entry.slot);
      if (holding !== undefined && holding.owner !== owner) return { with: holding.owner, entry };
    }
    return undefined;
  }

  #dropOthers(before: readonly Entry[], kept: readonly Entry[]): readonly Entry[] {
    const slots = new Set(kept.map((entry) => entry.slot));
    const dropped = before.filter((entry) => !slots.has(entry.slot));
    for (const entry of dropped) this.#slots.delete(entry.slot);
    return dropped;
  }
}
