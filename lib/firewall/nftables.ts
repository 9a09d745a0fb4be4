/**
 * The firewall on native nftables: one table `inet tsnet` whose rules look things up in sets and maps, so that a
 * container is a few elements and never a rule or a chain. The kernel refuses a second element with the same key,
 * which makes a host port that is taken an error, and a lookup costs the same for one container and a thousand.
 *
 * Only packets to the host's own addresses enter `published`: transit traffic to the same port is none of our
 * business. What has to come back through the host (hairpin, localhost) is recognised by the connection's original
 * port, so that no bit of the packet mark is taken.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { Nft, NftElement, NftTable } from "../nft/nft.ts";
import { NftTransaction } from "../nft/transaction.ts";
import type { Drop, Engine, Others, RepairResult } from "./engine.ts";
import { FAMILY, LAYOUTS, layoutOf, type NftLayout, partOfSet, TABLE } from "./nftables-layout.ts";
import { planNftMasquerade, planNftPublish, tagOfOwnChain } from "./nftables-plan.ts";
import { commentOf, type Element, type Entry, parseComment, tagOf } from "./record.ts";
import type { Part } from "./types.ts";

const AT = { family: FAMILY, table: TABLE } as const;

/** The engine on `nft`. */
export function nftablesEngine(nft: Nft): Engine {
  return {
    name: "nftables",
    planMasquerade: (_attachment, wish) => planNftMasquerade(wish),
    planPublish: planNftPublish,
    add(entries, others, lockFd) {
      return nft.run(addition(entries, others), { inheritFd: lockFd });
    },
    remove(entries, others, lockFd) {
      return nft.run(removal(entries, others), { inheritFd: lockFd });
    },
    async repair(wanted, drop, lockFd) {
      const { transaction, result } = reparation(await nft.list(FAMILY, TABLE), wanted, drop);
      await nft.run(transaction, { inheritFd: lockFd });
      return result;
    },
    async missing(entries) {
      return missingFrom(await nft.list(FAMILY, TABLE), entries);
    },
  };
}

function addition(entries: readonly Entry[], others: Others): NftTransaction {
  const tx = new NftTransaction();
  for (const { part } of entries) {
    if (others.has(part)) continue;
    tx.addTable(FAMILY, TABLE);
    declare(tx, layoutOf(part), "create");
  }
  for (const entry of entries) addContent(tx, entry);
  return tx;
}

function removal(entries: readonly Entry[], others: Others): NftTransaction {
  const tx = new NftTransaction();
  if (!others.any) return tx.deleteTable(FAMILY, TABLE);
  const last = new Set(entries.map((entry) => entry.part).filter((part) => !others.has(part)));
  for (const part of last) undeclare(tx, layoutOf(part));
  for (const { part, content } of entries) {
    if (!last.has(part)) for (const { set, key } of content.elements) tx.deleteElement({ ...AT, set, key });
    // A chain can go once nothing jumps to it: after its elements, or after the map that they are in.
    for (const { chain } of content.chains) tx.flushChain({ ...AT, chain }).deleteChain({ ...AT, chain });
  }
  return tx;
}

function declare(tx: NftTransaction, layout: NftLayout | undefined, how: "create" | "add"): void {
  if (layout === undefined) return;
  for (const chain of layout.chains)
    how === "create" ? tx.createChain({ ...AT, ...chain }) : tx.addChain({ ...AT, ...chain });
  for (const { set, typeof: key, value, flags } of layout.sets) {
    const more = flags === undefined ? {} : { flags };
    if (value === undefined) tx.addSet({ ...AT, set, typeof: key, ...more });
    else tx.addMap({ ...AT, map: set, key, value, ...more });
  }
  for (const rule of layout.rules) tx.addRule({ ...AT, ...rule });
}

function undeclare(tx: NftTransaction, layout: NftLayout | undefined): void {
  for (const { chain } of layout?.chains ?? []) tx.flushChain({ ...AT, chain });
  for (const { chain } of layout?.chains ?? []) tx.deleteChain({ ...AT, chain });
  for (const { set, value } of layout?.sets ?? []) removeSet(tx, set, value !== undefined);
}

function removeSet(tx: NftTransaction, set: string, isMap: boolean): void {
  if (isMap) tx.deleteMap({ ...AT, map: set });
  else tx.deleteSet({ ...AT, set });
}

function addContent(tx: NftTransaction, { attachment, content }: Entry): void {
  const comment = commentOf(attachment);
  for (const { chain, rules } of content.chains) {
    tx.addChain({ ...AT, chain });
    for (const rule of rules) tx.addRule({ ...AT, chain, rule, comment });
  }
  for (const element of content.elements) tx.createElement({ ...AT, ...element, comment });
}

/** An element of the kernel's that no entry tells of and that stays. */
interface Orphan extends Element {
  readonly part: Part;
  readonly comment: string;
}

/**
 * Writes the fixed parts anew rather than comparing them: a rule that looks up a port in a map can only be added
 * together with that map (nft 1.0.6: "conflicting protocols specified").
 */
function reparation(
  table: NftTable | undefined,
  wanted: readonly Entry[],
  drop: Drop,
): { readonly transaction: NftTransaction; readonly result: RepairResult } {
  const tx = new NftTransaction();
  const { orphans, dropped } = orphansOf(table, wanted, drop);
  const result = { orphans: orphans.length > 0, dropped };
  if (table !== undefined && isWhole(table, wanted, orphans)) return { transaction: tx, result };
  if (wanted.length === 0 && orphans.length === 0) {
    return { transaction: table === undefined ? tx : tx.deleteTable(FAMILY, TABLE), result };
  }
  tx.addTable(FAMILY, TABLE);
  clear(tx, table, orphans);
  for (const { part, layout } of LAYOUTS) {
    if (wanted.some((entry) => entry.part === part) || orphans.some((orphan) => orphan.part === part)) {
      declare(tx, layout, "add");
    }
  }
  for (const entry of wanted) addContent(tx, entry);
  for (const orphan of orphans) tx.createElement({ ...AT, ...orphan });
  return { transaction: tx, result };
}

/** Empties the table but for the condition chains of orphans, whose rules we could not write again. */
function clear(tx: NftTransaction, table: NftTable | undefined, orphans: readonly Orphan[]): void {
  const kept = new Set(orphans.map((orphan) => parseComment(orphan.comment)?.tag));
  const gone = [...(table?.chains.keys() ?? [])].filter((chain) => !kept.has(tagOfOwnChain(chain) ?? "none"));
  for (const chain of gone) tx.flushChain({ ...AT, chain });
  // With the maps go the jumps that their elements are.
  for (const { set, kind } of table?.sets.values() ?? []) removeSet(tx, set, kind === "map");
  for (const chain of gone) tx.deleteChain({ ...AT, chain });
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
      else if (part === "publish") throw taken(set, element.key, owner.who);
    }
  }
  return { orphans, dropped: [...dropped] };
}

/** The container's address, in the sets and maps whose elements tell it. */
function containerOf(set: string, { key, value }: NftElement): string | undefined {
  if (set.startsWith("masquerade")) return key;
  if (set.startsWith("hairpin")) return key.split(" . ")[1];
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
function isWhole(table: NftTable, wanted: readonly Entry[], orphans: readonly Orphan[]): boolean {
  if (missingFrom(table, wanted).length > 0) return false;
  let elements = 0;
  for (const set of table.sets.values()) elements += set.elements.length;
  const expected = wanted.reduce((sum, entry) => sum + entry.content.elements.length, orphans.length);
  const parts = LAYOUTS.filter(({ layout }) => layout.chains.some(({ chain }) => table.chains.has(chain)));
  const needed = (part: Part) => [...wanted, ...orphans].some((one) => one.part === part);
  return elements === expected && parts.every(({ part }) => needed(part)) && wanted.length + orphans.length > 0;
}

function missingFrom(table: NftTable | undefined, entries: readonly Entry[]): readonly string[] {
  if (table === undefined) return entries.length === 0 ? [] : [`table ${FAMILY} ${TABLE}`];
  const missing: string[] = [];
  for (const part of new Set(entries.map((entry) => entry.part))) missing.push(...missingLayout(table, part));
  for (const { attachment, content } of entries) {
    const comment = commentOf(attachment);
    for (const { set, key, value } of content.elements) {
      const found = table.sets.get(set)?.elements.find((element) => element.key === key);
      if (found === undefined || found.value !== value || found.comment !== comment) {
        missing.push(`element ${key}${value === undefined ? "" : ` : ${value}`} of ${set}`);
      }
    }
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
    const rules = layout?.rules.filter((rule) => rule.chain === chain).length;
    return table.chains.get(chain)?.rules.length !== rules;
  });
  const sets = (layout?.sets ?? []).filter(({ set }) => !table.sets.has(set));
  return [...chains.map(({ chain }) => `rules of chain ${chain}`), ...sets.map(({ set }) => `set ${set}`)];
}
