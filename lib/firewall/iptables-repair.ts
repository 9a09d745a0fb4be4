/**
 * Compares what iptables-save shows with what shall be there, and writes the change. Pure; off the fast path.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { SavedRule } from "../iptables/iptables.ts";
import { wordsOf } from "../iptables/save.ts";
import { IptablesTransaction } from "../iptables/transaction.ts";
import type { Family } from "../net/address.ts";
import type { Drop, RepairResult } from "./engine.ts";
import {
  jumpsTo,
  linesOf,
  missingFrom,
  rulesOf,
  type Saved,
  sameWords,
  sharedLines,
  type Table,
} from "./iptables-compare.ts";
import { type IptablesLayout, type Jump, jumpRule, layoutOf, PARTS, partOfChain } from "./iptables-layout.ts";
import { OWN_CHAIN } from "./iptables-plan.ts";
import { removeAdminChains, strangersOf, writeAllShared } from "./iptables-shared.ts";
import { type Entry, type HeldPort, type IptablesRule, parseComment, sharedOf, tagOf } from "./record.ts";
import type { Part } from "./types.ts";

/** A rule of ours that no entry tells of and that stays. */
interface Orphan {
  readonly part: Part;
  readonly table: Table;
  readonly chain: string;
  readonly saved: SavedRule;
}

type Place = IptablesLayout["chains"][number];

/** The change that makes `saved` hold `wanted`, and whether other rules of ours stay beside them. */
export function reparation(
  family: Family,
  saved: Saved,
  { wanted, drop, gone }: { readonly wanted: readonly Entry[]; readonly drop: Drop; readonly gone: readonly Entry[] },
): RepairResult & { readonly transaction: IptablesTransaction } {
  const tx = new IptablesTransaction();
  const entries = wanted.filter((entry) => entry.families.includes(family));
  const { orphans, dropped } = orphansOf(saved, entries, drop);
  refuseTaken(family, entries, orphans);
  for (const part of PARTS) {
    const own = entries.filter((entry) => entry.part === part);
    const others = orphans.filter((orphan) => orphan.part === part);
    // What others share may be theirs of whom no entry tells.
    const strangers = others.length === 0 || part !== "forward" ? [] : strangersOf(saved, family, own);
    if (own.length + others.length === 0) removePart(tx, saved, family, part);
    else if (!isWhole(saved, family, part, { own, others: others.length + strangers.length })) {
      writePart(tx, saved, family, own, others);
      if (part === "forward") writeAllShared(tx, saved, family, own, strangers);
    }
    if (part !== "forward") continue;
    const kept = [
      ...sharedOf(own, family).flatMap(({ adminChain }) => adminChain ?? []),
      ...strangers.map(({ saved: rule }) => rule.words.at(-1) ?? ""),
    ];
    removeAdminChains(tx, saved, family, { kept, gone });
  }
  removeOwnChains(tx, saved, entries, orphans);
  return { transaction: tx, orphans: orphans.length > 0, dropped };
}

function orphansOf(
  saved: Saved,
  entries: readonly Entry[],
  drop: Drop,
): { readonly orphans: readonly Orphan[]; readonly dropped: readonly string[] } {
  const known = new Set(entries.map((entry) => `${entry.part} ${tagOf(entry.attachment)}`));
  const orphans: Orphan[] = [];
  const dropped = new Set<string>();
  for (const { table, chains } of saved.values()) {
    for (const { chain, rules } of chains.values()) {
      const part = partOfChain(chain);
      if (part === undefined) continue;
      for (const rule of rules) {
        const tag = parseComment(rule.comment)?.tag;
        if (tag === undefined || known.has(`${part} ${tag}`)) continue;
        if (drop(tag, part)) {
          const address = containerOf(rule);
          if (address !== undefined) dropped.add(address);
          continue;
        }
        orphans.push({ part, table: table as Table, chain, saved: rule });
      }
    }
  }
  return { orphans, dropped: [...dropped] };
}

/** The container's address, in the rules that tell it. */
function containerOf({ text }: SavedRule): string | undefined {
  return /--to-destination \[?([0-9a-f:.]+?)\]?:\d+$|^-s ([0-9a-f:.]+)\/(?:32|128) .*-j (?:MASQUERADE|ACCEPT)$/
    .exec(text)
    ?.slice(1)
    .find(Boolean);
}

/** No kernel refuses a second redirection of a port; what no entry tells of is found here. */
function refuseTaken(family: Family, entries: readonly Entry[], orphans: readonly Orphan[]): void {
  const ports = entries.flatMap((entry) => entry.ports.filter((port) => port.family === family));
  for (const { chain, saved } of orphans) {
    const held = chain === "TSNET-DNAT" ? portOf(saved) : undefined;
    if (held === undefined) continue;
    for (const port of ports) {
      if (`${port.port}` !== held.port || port.protocol !== held.protocol) continue;
      if (port.hostIp !== undefined && held.hostIp !== undefined && port.hostIp !== held.hostIp) continue;
      const who = parseComment(saved.comment)?.who ?? "";
      throw new TsnetError(`host port ${port.port}/${port.protocol} is taken by ${who} (a rule in TSNET-DNAT)`, {
        code: "conflict",
        op: "publish",
      });
    }
  }
}

function portOf({ words }: SavedRule): { port: string; protocol: string; hostIp: HeldPort["hostIp"] } | undefined {
  const after = (word: string) => (words.includes(word) ? words[words.indexOf(word) + 1] : undefined);
  const port = after("--dport");
  return port === undefined ? undefined : { port, protocol: after("-p") ?? "", hostIp: after("-d")?.split("/")[0] };
}

function isWhole(
  saved: Saved,
  family: Family,
  part: Part,
  { own, others }: { readonly own: readonly Entry[]; readonly others: number },
): boolean {
  if (missingFrom(family, saved, own).length > 0) return false;
  const { chains, jumps, rules } = layoutOf(part, family);
  const ownRules = own.flatMap((entry) => entry.content.rules).filter(inFamily);
  const expected = rules.length + others + ownRules.length + sharedLines(family, own).length;
  const found = chains.reduce((sum, { table, chain }) => sum + rulesOf(saved, table, chain).length, 0);
  return found === expected && jumps.every((jump) => jumpsTo(saved, jump).length === 1);

  function inFamily(rule: IptablesRule): boolean {
    return rule.family === family;
  }
}

/** Writes the chains of a part from the beginning, with what stays of others in front. */
function writePart(
  tx: IptablesTransaction,
  saved: Saved,
  family: Family,
  own: readonly Entry[],
  others: readonly Orphan[],
): void {
  const parts = new Set([...own, ...others].map((one) => one.part));
  for (const part of parts) {
    const { chains, jumps, rules } = layoutOf(part, family);
    for (const { table, chain } of chains) tx.resetChain(table, chain);
    for (const entry of own) {
      for (const { family: of, chain } of entry.content.chains) if (of === family) tx.resetChain("nat", chain);
    }
    for (const { table, chain, rule } of rules) tx.append(table, chain, rule);
    for (const { table, chain, saved: rule } of others) tx.append(table, chain, rule.text);
    for (const entry of own) {
      for (const { table, chain, rule, comment } of linesOf(entry, family)) tx.append(table, chain, rule, comment);
    }
    for (const jump of jumps) writeJump(tx, saved, jump);
  }
}

function writeJump(tx: IptablesTransaction, saved: Saved, jump: Jump): void {
  const there = jumpsTo(saved, jump);
  const [only] = there;
  if (there.length === 1 && only !== undefined && sameWords(only.words, wordsOf(jumpRule(jump)))) return;
  for (const rule of there) tx.delete(jump.table, jump.from, rule.text);
  if (jump.first) tx.insert(jump.table, jump.from, jumpRule(jump));
  else tx.append(jump.table, jump.from, jumpRule(jump));
}

function removePart(tx: IptablesTransaction, saved: Saved, family: Family, part: Part): void {
  const { chains, jumps } = layoutOf(part, family);
  for (const jump of jumps) for (const rule of jumpsTo(saved, jump)) tx.delete(jump.table, jump.from, rule.text);
  for (const place of chains) {
    const ways = jumps.filter(({ to }) => to === place.chain).map(({ from }) => from);
    removeChain(tx, saved, place, [...ways, ...chains.map(({ chain }) => chain)]);
  }
}

/** Who leads to it of his own accord, from elsewhere than `ours`, keeps it empty: DEL must not fail because of him. */
function removeChain(tx: IptablesTransaction, saved: Saved, { table, chain }: Place, ours: readonly string[]): void {
  const all = saved.get(table)?.chains;
  if (all?.has(chain) !== true) return;
  const isUsed = [...all].some(([from, { rules }]) => !ours.includes(from) && rules.some((rule) => leads(rule, chain)));
  tx.flushChain(table, chain);
  if (!isUsed) tx.deleteChain(table, chain);
}

function leads({ words }: SavedRule, to: string): boolean {
  return words.at(-1) === to && (words.at(-2) === "-j" || words.at(-2) === "-g");
}

/** Removes chains of conditions that no rule leads to any more. */
function removeOwnChains(
  tx: IptablesTransaction,
  saved: Saved,
  entries: readonly Entry[],
  orphans: readonly Orphan[],
): void {
  const used = new Set([
    ...entries.flatMap((entry) => entry.content.chains.map(({ chain }) => chain)),
    ...orphans.map((orphan) => orphan.saved.words.at(-1) ?? ""),
  ]);
  for (const chain of saved.get("nat")?.chains.keys() ?? []) {
    if (chain.startsWith(OWN_CHAIN) && !used.has(chain))
      removeChain(tx, saved, { table: "nat", chain }, ["TSNET-DNAT"]);
  }
}
