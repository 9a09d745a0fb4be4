/**
 * What a run of kernel events comes to for our entries: who took away, changed or added what. Pure.
 *
 * Our own changes come back as events, too. They need no recognising: what counts is whether the last word about a
 * slot is what is wanted there. The kernel tells in the order in which it acts, and at once, so that all events read
 * are the state at this moment.
 *
 * @module
 */
import type { Difference } from "./difference.ts";
import { deletedWith, type Entry, sameEntry } from "./entry.ts";
import type { Repair } from "./fabric.ts";

interface Slot {
  /** What is wrong with what is wanted here; undefined: nothing, or nothing is wanted. */
  fault: "missing" | "different" | undefined;
  /** What is here beside. */
  others: readonly Entry[];
}

export class Observed {
  readonly #wanted: { get(slot: string): Entry | undefined };
  readonly #isOurs: (entry: Entry) => boolean;
  readonly #slots = new Map<string, Slot>();

  constructor(wanted: { get(slot: string): Entry | undefined }, isOurs: (entry: Entry) => boolean) {
    this.#wanted = wanted;
    this.#isOurs = isOurs;
  }

  /** One event: the entry is there now as it is told, or was and is `gone`. */
  see(entry: Entry, gone: boolean): void {
    const wanted = this.#wanted.get(entry.slot);
    if (wanted === undefined && !this.#isOurs(entry) && !this.#slots.has(entry.slot)) return;
    const slot = this.#slots.get(entry.slot) ?? { fault: undefined, others: [] };
    if (gone) this.#gone(slot, entry, wanted);
    else this.#there(slot, entry, wanted);
    if (slot.fault === undefined && slot.others.length === 0) this.#slots.delete(entry.slot);
    else this.#slots.set(entry.slot, slot);
  }

  /** What is to be done about it. With `sweep`, also about what nobody wants. */
  difference({ sweep }: { readonly sweep: boolean }): Difference {
    const put: Entry[] = [];
    const drop: Entry[] = [];
    const repairs: { entry: Entry; found: Repair["found"] }[] = [];
    for (const [key, { fault, others }] of this.#slots) {
      const wanted = this.#wanted.get(key);
      if (wanted !== undefined && fault !== undefined) {
        put.push(wanted);
        repairs.push({ entry: wanted, found: fault });
      }
      for (const entry of wanted === undefined && !sweep ? [] : others) {
        if (wanted !== undefined && deletedWith(entry, wanted)) continue;
        drop.push(entry);
        if (fault === undefined) repairs.push({ entry, found: "superfluous" });
      }
    }
    return { put, drop, repairs };
  }

  #there(slot: Slot, entry: Entry, wanted: Entry | undefined): void {
    if (wanted !== undefined && sameEntry(entry, wanted)) {
      // As a rule it came in the place of whatever was here; the next comparison finds what did not go.
      slot.fault = undefined;
      slot.others = [];
      return;
    }
    if (wanted !== undefined) slot.fault = "different";
    if (this.#isOurs(entry)) slot.others = [...without(slot.others, entry), entry];
  }

  #gone(slot: Slot, entry: Entry, wanted: Entry | undefined): void {
    slot.others = without(slot.others, entry);
    if (wanted === undefined) return;
    // Of neighbours and FDB entries a slot has one, whatever it was when it went.
    if (entry.kind !== "route" || sameEntry(entry, wanted)) slot.fault = "missing";
  }
}

function without(entries: readonly Entry[], gone: Entry): readonly Entry[] {
  return entries.filter((entry) => !deletedWith(entry, gone));
}
