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
    const put: Entry[] = [];
    let clash: TableChange["clash"];
    for (const entry of entries) {
      const holding = this.#slots.get(entry.slot);
      if (holding === undefined || !sameEntry(holding.entry, entry)) put.push(entry);
      if (holding !== undefined && holding.owner !== owner) clash ??= { with: holding.owner, entry };
    }
    if (clash !== undefined) return { put: [], drop: this.#hold(owner, []), clash };
    return { put, drop: this.#hold(owner, entries), clash };
  }

  /** What was `owner`'s and is no more. */
  #hold(owner: string, entries: readonly Entry[]): readonly Entry[] {
    const before = this.#owners.get(owner);
    for (const entry of entries) this.#slots.set(entry.slot, { entry, owner });
    if (entries.length === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, entries);
    return before === undefined ? [] : this.#dropOthers(before, entries);
  }

  #dropOthers(before: readonly Entry[], kept: readonly Entry[]): readonly Entry[] {
    const slots = new Set(kept.map((entry) => entry.slot));
    const dropped = before.filter((entry) => !slots.has(entry.slot));
    for (const entry of dropped) this.#slots.delete(entry.slot);
    return dropped;
  }
}
