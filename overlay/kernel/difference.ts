/**
 * From what the kernel holds to what is wanted: which entries to put, which to take away, and what somebody had
 * changed. Pure.
 *
 * @module
 */
import { deletedWith, type Entry, sameEntry } from "./entry.ts";
import type { Repair } from "./fabric.ts";
import type { WantedTable } from "./table.ts";

export interface Difference {
  readonly put: readonly Entry[];
  readonly drop: readonly Entry[];
  readonly repairs: readonly { readonly entry: Entry; readonly found: Repair["found"] }[];
}

/** What was wanted before, where that is another table: a difference that it explains is no damage. */
export interface Before {
  get(slot: string): Entry | undefined;
}

/**
 * Compares `held`, all that the kernel has of ours, with `wanted`. With `sweep`, what nobody wants goes.
 * A difference that comes of `before` having become `wanted` is not told as a repair.
 */
export function differenceOf(
  held: readonly Entry[],
  wanted: WantedTable,
  { before = wanted, sweep }: { readonly before?: Before; readonly sweep: boolean },
): Difference {
  const put: Entry[] = [];
  const drop: Entry[] = [];
  const repairs: { entry: Entry; found: Repair["found"] }[] = [];
  const bySlot = grouped(held);
  for (const entry of wanted.entries()) {
    const there = bySlot.get(entry.slot);
    bySlot.delete(entry.slot);
    if (there === undefined) {
      put.push(entry);
      if (wasWanted(before, entry)) repairs.push({ entry, found: "missing" });
      continue;
    }
    const right = there.some((one) => sameEntry(one, entry));
    if (!right) {
      put.push(entry);
      if (before.get(entry.slot) !== undefined && !there.some((one) => wasWanted(before, one))) {
        repairs.push({ entry, found: "different" });
      }
    }
    // The kernel's "replace" is for the first in a slot only.
    for (const one of right ? there : there.slice(1)) {
      if (sameEntry(one, entry) || deletedWith(one, entry)) continue;
      drop.push(one);
      repairs.push({ entry: one, found: "superfluous" });
    }
  }
  if (sweep) {
    for (const entry of [...bySlot.values()].flat()) {
      drop.push(entry);
      if (!wasWanted(before, entry)) repairs.push({ entry, found: "superfluous" });
    }
  }
  return { put, drop, repairs };
}

function wasWanted(before: Before, entry: Entry): boolean {
  const one = before.get(entry.slot);
  return one !== undefined && sameEntry(entry, one);
}

function grouped(entries: readonly Entry[]): Map<string, Entry[]> {
  const slots = new Map<string, Entry[]>();
  for (const entry of entries) {
    const slot = slots.get(entry.slot);
    if (slot === undefined) slots.set(entry.slot, [entry]);
    else slot.push(entry);
  }
  return slots;
}
