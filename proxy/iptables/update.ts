/**
 * What a few services' changes mean for the rules: only chains that differ are written.
 *
 * @module
 */
import type { ServiceChange } from "../table/types.ts";
import {
  FILTER_LISTS,
  framed,
  type Layout,
  type Lists,
  planPorts,
  record,
  rulesOf,
  type ServicePlan,
  TREES,
} from "./layout.ts";
import { type Entry, LISTS, type ListName } from "./port.ts";
import { type Chains, countRules, fingerprint, tableText } from "./text.ts";
import { diffTrees, type Entries, mergeEntries } from "./tree.ts";

export interface Update {
  /** Empty if no rule differs. */
  readonly text: string;
  readonly written: number;
  readonly newSets: readonly string[];
  readonly oldSets: readonly string[];
  /** The chains that change, with their tables: `nat KUBE-SERVICES`. */
  readonly places: readonly string[];
  /** Notes in the layout that it was done. */
  commit(): void;
}

export function planUpdate(layout: Layout, changes: Iterable<ServiceChange>): Update {
  const all = [...changes];
  const before = planPorts(
    all.map((change) => change.before ?? []),
    layout.shape,
  );
  const after = planPorts(
    all.map((change) => change.after ?? []),
    layout.shape,
  );
  const lists = mergeLists(layout.lists, before, after);
  const nat = natChange(layout, lists, before, after);
  const filter = filterChange(layout.lists, lists);
  const oldSets = [...before.sets].filter((set) => !after.sets.has(set));
  return {
    text: [
      tableText("filter", { write: filter.first }),
      tableText("nat", nat),
      tableText("filter", { write: filter.last }),
    ].join(""),
    written: countRules(nat.write) + countRules(filter.first) + countRules(filter.last),
    newSets: [...after.sets].filter((set) => !layout.sets.has(set)),
    oldSets,
    places: [
      ...[...nat.write.keys(), ...nat.remove].map((chain) => `nat ${chain}`),
      ...[...filter.first.keys(), ...filter.last.keys()].map((chain) => `filter ${chain}`),
    ],
    commit() {
      layout.lists = lists;
      for (const chain of nat.remove) layout.nat.delete(chain);
      record(layout.nat, nat.write);
      record(layout.filter, filter.first);
      record(layout.filter, filter.last);
      for (const set of oldSets) layout.sets.delete(set);
      for (const set of after.sets) layout.sets.add(set);
    },
  };
}

function mergeLists(lists: Lists, before: ServicePlan, after: ServicePlan): Lists {
  const merged: Record<ListName, Entries> = { ...lists };
  for (const list of LISTS) {
    // An entry that stays is left the object that it is: by that it is seen that its chain stays too.
    const gone = without(before.entries[list], after.entries[list]);
    const come = without(after.entries[list], before.entries[list]);
    if (gone.length + come.length > 0) merged[list] = mergeEntries(lists[list], gone, come);
  }
  return merged;
}

function without(entries: readonly Entry[], others: readonly Entry[]): readonly Entry[] {
  const known = new Map(others.map(({ key, rule }) => [key, rule]));
  return entries.filter(({ key, rule }) => known.get(key) !== rule);
}

function natChange(
  layout: Layout,
  lists: Lists,
  before: ServicePlan,
  after: ServicePlan,
): { readonly write: Chains; readonly remove: readonly string[] } {
  const write = new Map<string, readonly string[]>();
  for (const [chain, rules] of after.chains) {
    if (layout.nat.get(chain) !== fingerprint(rules)) write.set(chain, rules);
  }
  const remove = [...before.chains.keys()].filter((chain) => !after.chains.has(chain));
  for (const [root, list] of TREES) {
    const gone = diffTrees(root, layout.lists[list], lists[list], (chain, rules) =>
      write.set(chain, framed(chain, rules, layout.shape)),
    );
    remove.push(...gone);
  }
  return { write, remove };
}

/**
 * Refusals that come stand before nat is changed, those that go stand until after: `first` holds both where some
 * come, `last` only what shall be where some go.
 */
function filterChange(before: Lists, after: Lists): { readonly first: Chains; readonly last: Chains } {
  const first = new Map<string, readonly string[]>();
  const last = new Map<string, readonly string[]>();
  for (const [chain, list] of FILTER_LISTS) {
    if (before[list] === after[list]) continue;
    const stale = without(before[list], after[list]);
    const both = mergeEntries(after[list], [], stale);
    if (both.length > before[list].length) first.set(chain, rulesOf(both));
    if (stale.length > 0) last.set(chain, rulesOf(after[list]));
  }
  return { first, last };
}
