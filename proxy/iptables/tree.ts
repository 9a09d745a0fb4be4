/**
 * Thousands of entries as chains through which a packet finds its own in some forty rules: where there are too many
 * for one chain they are divided by the next bits of their keys, up to 16 ways at once, until few enough are left.
 *
 * The chains are a pure function of the entries, so a change and a fresh build end in the same rules. Entries are
 * sorted lists that are never changed, only replaced: what two lists share is the same object, which makes it cheap
 * to see which chains differ.
 *
 * iptables-nft pays for chains more than for rules, so no more ways are made than it takes.
 *
 * @module
 */
import { bitsAt, commonBits, prefixOf } from "./key.ts";
import { dispatchChain } from "./names.ts";
import type { Entry } from "./port.ts";

/** Entries in the order of their keys. */
export type Entries = readonly Entry[];

/** Takes the rules of a chain, each without `-A CHAIN `. */
export type ChainVisitor = (chain: string, rules: readonly string[]) => void;

/** As many entries stand in one chain. */
const FEW = 32;
const MOST_BITS = 4;

/** The list with the entries of `gone` taken out, by key, and those of `come` put in, instead of what has their key. */
export function mergeEntries(entries: Entries, gone: readonly Entry[], come: readonly Entry[]): Entries {
  const removed = new Set([...gone, ...come].map(({ key }) => key));
  const kept = entries.filter(({ key }) => !removed.has(key));
  const added = [...new Map(come.map((entry) => [entry.key, entry])).values()].sort(byKey);
  if (added.length === 0) return kept;
  const merged: Entry[] = [];
  let next = 0;
  for (const entry of kept) {
    for (let other = added[next]; other !== undefined && other.key < entry.key; other = added[++next])
      merged.push(other);
    merged.push(entry);
  }
  return [...merged, ...added.slice(next)];
}

export function sortEntries(entries: Entry[]): Entries {
  return entries.sort(byKey);
}

function byKey(a: Entry, b: Entry): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

/** Visits the chains of all entries, children before the chain that leads to them; `root` comes last. */
export function visitTree(root: string, entries: Entries, visit: ChainVisitor): void {
  const { parts, rules } = chainOf(entries);
  for (const { chain, entries: part } of parts) visitTree(chain, part, visit);
  visit(root, rules);
}

/**
 * Visits the chains of `after` that are not as they were in `before`, and tells the names of those that are gone.
 */
export function diffTrees(root: string, before: Entries, after: Entries, visit: ChainVisitor): readonly string[] {
  if (sameEntries(before, after)) return [];
  const old = chainOf(before);
  const now = chainOf(after);
  const gone: string[] = [];
  const stay = new Map(old.parts.map((part) => [part.chain, part.entries]));
  for (const { chain, entries } of now.parts) {
    const earlier = stay.get(chain);
    stay.delete(chain);
    if (earlier === undefined) visitTree(chain, entries, visit);
    else gone.push(...diffTrees(chain, earlier, entries, visit));
  }
  for (const [chain, entries] of stay) visitTree(chain, entries, (name) => gone.push(name));
  if (!sameTexts(old.rules, now.rules)) visit(root, now.rules);
  // A chain may go in one place and come in another.
  if (gone.length === 0) return gone;
  const come = new Set<string>();
  visitTree(root, after, (name) => come.add(name));
  return gone.filter((name) => !come.has(name));
}

/** How many rules the root has. */
export function rootRules(entries: Entries): number {
  return chainOf(entries).rules.length;
}

interface Part {
  readonly chain: string;
  readonly entries: Entries;
}

/** The rules of the chain of these entries, and the parts that they lead to. */
function chainOf(entries: Entries): { readonly rules: readonly string[]; readonly parts: readonly Part[] } {
  const parts = entries.length <= FEW ? [] : divide(entries);
  if (parts.length === 0) return { rules: entries.map(({ rule }) => rule), parts: [] };
  const rules: string[] = [];
  const below: Part[] = [];
  for (const part of parts) {
    const [first, last] = [part[0], part.at(-1)];
    if (first === undefined || last === undefined) continue;
    if (part.length === 1) {
      rules.push(first.rule);
      continue;
    }
    const { place, match } = prefixOf(first.key, commonBits(first.key, last.key));
    const chain = dispatchChain(place);
    rules.push(`${match} -j ${chain}`.trimStart());
    below.push({ chain, entries: part });
  }
  return { rules, parts: below };
}

/** By the first bits in which they differ; nothing if they do not. */
function divide(entries: Entries): readonly Entries[] {
  const [first, last] = [entries[0], entries.at(-1)];
  if (first === undefined || last === undefined) return [];
  const from = commonBits(first.key, last.key);
  if (from === 4 * first.key.length) return [];
  const bits = Math.min(MOST_BITS, Math.ceil(Math.log2(entries.length / FEW)));
  const parts: Entry[][] = [];
  let current = -1;
  for (const entry of entries) {
    const value = bitsAt(entry.key, from, bits);
    if (value !== current) parts.push([]);
    current = value;
    parts.at(-1)?.push(entry);
  }
  return parts;
}

function sameEntries(a: Entries, b: Entries): boolean {
  return a.length === b.length && a.every((entry, at) => entry === b[at]);
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, at) => text === b[at]);
}
