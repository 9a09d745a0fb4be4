/**
 * Rules in our iptables chains that several attachments stand on, and chains of the administrator's that they lead to.
 *
 * @module
 */
import type { SavedRule } from "../iptables/iptables.ts";
import type { IptablesTransaction } from "../iptables/transaction.ts";
import type { Family } from "../net/address.ts";
import { jumpsTo, rulesOf, type Saved } from "./iptables-compare.ts";
import { CONTAINERS, layoutOf } from "./iptables-layout.ts";
import {
  type Entry,
  type IptablesRule,
  parseSharedComment,
  type Shared,
  sharedComment,
  sharedKey,
  sharedOf,
} from "./record.ts";

/** The administrator is asked before all else. */
export function writeShared(tx: IptablesTransaction, shared: Shared, { table, chain, rule }: IptablesRule): void {
  if (shared.adminChain === undefined) tx.append(table, chain, rule, sharedComment(shared));
  else tx.insert(table, chain, rule, sharedComment(shared));
}

/** A shared rule that is there. */
export interface SavedShared {
  readonly chain: string;
  readonly saved: SavedRule;
}

/** The shared rules that are there and that `entries` do not share: somebody may, of whom no entry tells. */
export function strangersOf(saved: Saved, family: Family, entries: readonly Entry[]): readonly SavedShared[] {
  const known = new Set(sharedOf(entries, family).map(sharedKey));
  return layoutOf("forward", family).chains.flatMap(({ table, chain }) =>
    rulesOf(saved, table, chain).flatMap((rule): SavedShared[] => {
      const key = parseSharedComment(rule.comment);
      return key === undefined || known.has(key) ? [] : [{ chain, saved: rule }];
    }),
  );
}

/** Writes shared rules into chains that were just emptied. */
export function writeAllShared(
  tx: IptablesTransaction,
  saved: Saved,
  family: Family,
  entries: readonly Entry[],
  strangers: readonly SavedShared[],
): void {
  for (const shared of sharedOf(entries, family)) {
    const { adminChain } = shared;
    if (adminChain !== undefined && !hasChain(saved, adminChain)) tx.newChain("filter", adminChain);
    for (const rule of shared.rules) if (rule.family === family) writeShared(tx, shared, rule);
  }
  for (const { chain, saved: rule } of strangers) {
    // Of the shared ones in this chain all ask the administrator.
    if (chain === CONTAINERS) tx.insert("filter", chain, rule.text);
    else tx.append("filter", chain, rule.text);
  }
}

/**
 * Removes chains of administrators that nothing of ours leads to any more, as far as they are empty and nobody else
 * leads there. Comes behind all other changes.
 */
export function removeAdminChains(
  tx: IptablesTransaction,
  saved: Saved,
  family: Family,
  { kept, gone }: { readonly kept: readonly string[]; readonly gone: readonly Entry[] },
): void {
  const named = sharedOf(gone, family).flatMap(({ adminChain }) => adminChain ?? []);
  const asked = rulesOf(saved, "filter", CONTAINERS).flatMap(({ words, comment }) =>
    parseSharedComment(comment) === undefined ? [] : [words.at(-1) ?? ""],
  );
  for (const chain of new Set([...named, ...asked])) {
    if (kept.includes(chain) || !hasChain(saved, chain) || rulesOf(saved, "filter", chain).length > 0) continue;
    const others = [...(saved.get("filter")?.chains.keys() ?? [])].filter((from) => from !== CONTAINERS);
    const isUsed = others.some((from) => jumpsTo(saved, { table: "filter", from, to: chain }).length > 0);
    if (!isUsed) tx.deleteChain("filter", chain);
  }
}

function hasChain(saved: Saved, chain: string): boolean {
  return saved.get("filter")?.chains.has(chain) === true;
}
