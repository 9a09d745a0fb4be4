/**
 * Compares our nftables table with what shall be in it, and writes the change. Pure; off the fast path.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { NftElement, NftTable } from "../nft/nft.ts";
import { NftTransaction } from "../nft/transaction.ts";
import type { Drop, RepairResult } from "./engine.ts";
import {
  adminChainsOf,
  askedChains,
  emptyAdminChains,
  holdsMore,
  NO_STRANGERS,
  strangersOf,
} from "./nftables-admin.ts";
import { ADMIN, FAMILY, LAYOUTS, layoutOf, OWN_CHAINS, partOfSet, TABLE } from "./nftables-layout.ts";
import { tagOfOwnChain } from "./nftables-plan.ts";
import { AT, addContent, addShared, declare, removeSet } from "./nftables-write.ts";
import {
  commentOf,
  type Element,
  type Entry,
  isOfOneAddress,
  parseComment,
  sharedComment,
  sharedOf,
  tagOf,
} from "./record.ts";
import type { Part } from "./types.ts";

/** An element of the kernel's that no entry tells of and that stays. */
interface Orphan extends Element {
  readonly part: Part;
  readonly comment: string;
}

/**
 * Writes the fixed parts anew rather than comparing them: a rule that looks up a port in a map can only be added
 * together with that map (nft 1.0.6: "conflicting protocols specified").
 */
export function reparation(
  table: NftTable | undefined,
  { wanted, drop, gone }: { readonly wanted: readonly Entry[]; readonly drop: Drop; readonly gone: readonly Entry[] },
): { readonly transaction: NftTransaction; readonly result: RepairResult } {
  const tx = new NftTransaction();
  const { orphans, dropped } = orphansOf(table, wanted, drop);
  const strangers = orphans.some(({ part }) => part === "forward") ? strangersOf(table, wanted) : NO_STRANGERS;
  const asking = adminChainsOf(wanted);
  const empty = emptyAdminChains(table, [...adminChainsOf(gone), ...askedChains(table), ...asking]);
  const unused = empty.filter((chain) => !strangers.chains.includes(chain) && !asking.includes(chain));
  const adminRules = table !== undefined && holdsMore(table, empty);
  const result = { orphans: orphans.length > 0, dropped, adminRules };
  if (table !== undefined && unused.length === 0 && isWhole(table, wanted, [...orphans, ...strangers.elements])) {
    return { transaction: tx, result };
  }
  if (wanted.length === 0 && orphans.length === 0 && !adminRules) {
    return { transaction: table === undefined ? tx : tx.deleteTable(FAMILY, TABLE), result };
  }
  tx.addTable(FAMILY, TABLE);
  clear(tx, table, orphans, unused);
  for (const { part, layout } of LAYOUTS) {
    if (wanted.some((entry) => entry.part === part) || orphans.some((orphan) => orphan.part === part)) {
      declare(tx, layout, "add");
    }
  }
  for (const shared of sharedOf(wanted)) addShared(tx, shared);
  for (const entry of wanted) addContent(tx, entry);
  for (const orphan of [...orphans, ...strangers.elements]) tx.createElement({ ...AT, ...orphan });
  for (const { chain, comment } of strangers.jumps) tx.addRule({ ...AT, chain: ADMIN, rule: `jump ${chain}`, comment });
  return { transaction: tx, result };
}

/** Empties our part of the table but for the condition chains of orphans, whose rules we could not write again. */
function clear(
  tx: NftTransaction,
  table: NftTable | undefined,
  orphans: readonly Orphan[],
  unused: readonly string[],
): void {
  const kept = new Set(orphans.map((orphan) => parseComment(orphan.comment)?.tag));
  const gone = [...(table?.chains.keys() ?? [])].filter((chain) => {
    const tag = tagOfOwnChain(chain);
    return tag === undefined ? OWN_CHAINS.has(chain) : !kept.has(tag);
  });
  for (const chain of gone) tx.flushChain({ ...AT, chain });
  // With the maps go the jumps that their elements are.
  for (const { set, kind } of table?.sets.values() ?? []) {
    if (partOfSet(set) !== undefined) removeSet(tx, set, kind === "map");
  }
  for (const chain of [...gone, ...unused]) tx.deleteChain({ ...AT, chain });
}

function orphansOf(
  table: NftTable | undefined,
  wanted: readonly Entry[],
  drop: Drop,
): { readonly orphans: readonly Orphan[]; readonly dropped: readonly string[] } {
  const known = new Set(wanted.map((entry) => `${entry.part} ${tagOf(entry.attachment)}`));
  const keys = new Map<string, Entry>();
  for (const entry of wanted) for (const { set, key } of entry.content.elements) keys.set(`${set} ${key}`, entry);
  const orphans: Orphan[] = [];
  const dropped = new Set<string>();
  for (const { set, elements } of table?.sets.values() ?? []) {
    const part = partOfSet(set);
    for (const element of elements) {
      const owner = parseComment(element.comment);
      if (part === undefined || owner === undefined || known.has(`${part} ${owner.tag}`)) continue;
      if (drop(owner.tag, part)) {
        const address = containerOf(set, element);
        if (address !== undefined) dropped.add(address);
        continue;
      }
      const rival = keys.get(`${set} ${element.key}`);
      if (rival === undefined) orphans.push({ ...toElement(set, element), part, comment: element.comment ?? "" });
      // An address has one owner, the latest; a port belongs to who has it.
      else if (!isOfOneAddress({ set })) throw taken(set, element.key, owner.who);
    }
  }
  return { orphans, dropped: [...dropped] };
}

/** The container's address, in the sets and maps whose elements tell it. */
function containerOf(set: string, { key, value }: NftElement): string | undefined {
  if (/^(?:masquerade|forward)[46]$/.test(set)) return key;
  if (set.startsWith("hairpin")) return key.split(" . ")[0];
  if (set.startsWith("near")) return key.split(" . ")[1];
  return set.startsWith("publish") ? value?.split(" . ")[0] : undefined;
}

function toElement(set: string, { key, value }: NftElement): Element {
  return value === undefined ? { set, key } : { set, key, value };
}

function taken(set: string, key: string, who: string): TsnetError {
  const [port = "", protocol = ""] = key.split(" . ").reverse();
  return new TsnetError(`host port ${port}/${protocol} is taken by ${who} (nft list map inet ${TABLE} ${set})`, {
    code: "conflict",
    op: "publish",
  });
}

/** Whether the table holds exactly `wanted` and `orphans`, and all that carries them. */
function isWhole(table: NftTable, wanted: readonly Entry[], orphans: readonly Pick<Orphan, "part">[]): boolean {
  if (missingFrom(table, wanted).length > 0) return false;
  let elements = 0;
  for (const set of table.sets.values()) if (partOfSet(set.set) !== undefined) elements += set.elements.length;
  const shared = sharedOf(wanted).reduce((sum, one) => sum + one.elements.length, 0);
  const expected = wanted.reduce((sum, entry) => sum + entry.content.elements.length, orphans.length + shared);
  const parts = LAYOUTS.filter(({ layout }) => layout.chains.some(({ chain }) => table.chains.has(chain)));
  const needed = (part: Part) => [...wanted, ...orphans].some((one) => one.part === part);
  return elements === expected && parts.every(({ part }) => needed(part)) && wanted.length + orphans.length > 0;
}

/** What of `entries`, and of what they stand on, is not there. */
export function missingFrom(table: NftTable | undefined, entries: readonly Entry[]): readonly string[] {
  if (table === undefined) return entries.length === 0 ? [] : [`table ${FAMILY} ${TABLE}`];
  const missing: string[] = [];
  for (const part of new Set(entries.map((entry) => entry.part))) missing.push(...missingLayout(table, part));
  // A container may have a thousand ports.
  const there = new Map(
    [...table.sets].map(([name, { elements }]) => [name, new Map(elements.map((element) => [element.key, element]))]),
  );
  const look = ({ set, key, value }: Element, comment: string) => {
    const found = there.get(set)?.get(key);
    if (found === undefined || found.value !== value || found.comment !== comment) {
      missing.push(`element ${key}${value === undefined ? "" : ` : ${value}`} of ${set}`);
    }
  };
  for (const shared of sharedOf(entries)) {
    const comment = sharedComment(shared);
    for (const element of shared.elements) look(element, comment);
    const isAsked = table.chains.get(ADMIN)?.rules.some((rule) => rule.comment === comment) === true;
    if (shared.adminChain !== undefined && !isAsked) missing.push(`jump ${shared.adminChain} of chain ${ADMIN}`);
  }
  for (const { attachment, content } of entries) {
    const comment = commentOf(attachment);
    for (const element of content.elements) look(element, comment);
    for (const { chain, rules } of content.chains) {
      if (table.chains.get(chain)?.rules.length !== rules.length) missing.push(`rules of chain ${chain}`);
    }
  }
  return missing;
}

/** Fixed chains and sets that are not there, or that somebody emptied. */
function missingLayout(table: NftTable, part: Part): readonly string[] {
  const layout = layoutOf(part);
  const chains = (layout?.chains ?? []).filter(({ chain }) => {
    // Its rules are of those who ask.
    if (chain === ADMIN) return !table.chains.has(chain);
    const rules = layout?.rules.filter((rule) => rule.chain === chain).length;
    return table.chains.get(chain)?.rules.length !== rules;
  });
  const sets = (layout?.sets ?? []).filter(({ set }) => !table.sets.has(set));
  return [...chains.map(({ chain }) => `rules of chain ${chain}`), ...sets.map(({ set }) => `set ${set}`)];
}
