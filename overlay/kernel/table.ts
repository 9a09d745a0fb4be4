/**
 * What is wanted in the kernel, by slot and by whom.
 *
 * Two peers that want one slot filled differently cannot both have it: the first keeps it, the other is told, and
 * the peers after them are not touched.
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

  entries(): Iterable<Entry> {
    return this.#slots.values().map((holding) => holding.entry);
  }

  /** Exactly these entries are `owner`'s; what of its others nobody has now is to go. */
  set(owner: string, entries: readonly Entry[]): TableChange {
    const before = this.#owners.get(owner) ?? [];
    const put: Entry[] = [];
    const kept: Entry[] = [];
    let clash: TableChange["clash"];
    for (const entry of entries) {
      const holding = this.#slots.get(entry.slot);
      if (holding !== undefined && holding.owner !== owner) {
        clash ??= { with: holding.owner, entry };
        continue;
      }
      if (holding === undefined || !sameEntry(holding.entry, entry)) put.push(entry);
      this.#slots.set(entry.slot, { entry, owner });
      kept.push(entry);
    }
    const drop = before.length === 0 ? [] : this.#dropOthers(before, kept);
    if (kept.length === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, kept);
    return { put, drop, clash };
  }

  /** What of it is `owner`'s. */
  of(owner: string): readonly Entry[] {
    return this.#owners.get(owner) ?? [];
  }

  #dropOthers(before: readonly Entry[], kept: readonly Entry[]): readonly Entry[] {
    const slots = new Set(kept.map((entry) => entry.slot));
    const dropped = before.filter((entry) => !slots.has(entry.slot));
    for (const entry of dropped) this.#slots.delete(entry.slot);
    return dropped;
  }
}
