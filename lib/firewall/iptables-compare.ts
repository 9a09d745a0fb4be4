/**
 * Which rules of ours iptables-save shows. Pure; off the fast path.
 *
 * @module
 */
import type { SavedRule, SavedTable } from "../iptables/iptables.ts";
import { wordsOf } from "../iptables/save.ts";
import type { Family } from "../net/address.ts";
import { type Jump, jumpRule, layoutOf } from "./iptables-layout.ts";
import { OWN_CHAIN } from "./iptables-plan.ts";
import { commentOf, type Entry, type IptablesRule, sharedComment, sharedOf } from "./record.ts";

export type Saved = ReadonlyMap<string, SavedTable>;
export type Table = IptablesRule["table"];

/** A rule as it shall be; without a comment it is one of the fixed ones. */
interface Line {
  readonly table: Table;
  readonly chain: string;
  readonly rule: string;
  readonly comment?: string;
}

/** What of `entries` is not there. */
export function missingFrom(family: Family, saved: Saved, entries: readonly Entry[]): readonly string[] {
  const own = entries.filter((entry) => entry.families.includes(family));
  const program = family === 4 ? "iptables" : "ip6tables";
  const lines = [
    ...fixedLines(family, own),
    ...sharedLines(family, own),
    ...own.flatMap((entry) => linesOf(entry, family)),
  ];
  const there = new Set(
    [...new Set(lines.map(({ table, chain }) => `${table} ${chain}`))].flatMap((place) => {
      const [table = "", chain = ""] = place.split(" ");
      return rulesOf(saved, table, chain).map(({ words, comment }) => keyOf(place, words, comment));
    }),
  );
  const missing = lines.filter(
    ({ table, chain, rule, comment }) => !there.has(keyOf(`${table} ${chain}`, wordsOf(rule), comment)),
  );
  const jumps = [...new Set(own.map((entry) => entry.part))]
    .flatMap((part) => layoutOf(part, family).jumps)
    .filter((jump) => !jumpsTo(saved, jump).some((rule) => sameWords(rule.words, wordsOf(jumpRule(jump)))))
    .map((jump): Line => ({ table: jump.table, chain: jump.from, rule: jumpRule(jump) }));
  return [...jumps, ...missing].map(({ table, chain, rule }) => `${program} -t ${table} -A ${chain} ${rule}`);
}

function fixedLines(family: Family, entries: readonly Entry[]): readonly Line[] {
  return [...new Set(entries.map((entry) => entry.part))].flatMap((part) => layoutOf(part, family).rules);
}

/** The rules that entries share, each once. */
export function sharedLines(family: Family, entries: readonly Entry[]): readonly Line[] {
  return sharedOf(entries, family).flatMap((shared) =>
    shared.rules
      .filter((rule) => rule.family === family)
      .map(({ table, chain, rule }) => ({ table, chain, rule, comment: sharedComment(shared) })),
  );
}

/** The rules of an entry in a family. */
export function linesOf({ attachment, content }: Entry, family: Family): readonly Line[] {
  const comment = commentOf(attachment);
  const own = content.chains
    .filter((chain) => chain.family === family)
    .flatMap(({ chain, rules }) => rules.map((rule): Line => ({ table: "nat", chain, rule, comment })));
  const rules = content.rules
    .filter((rule) => rule.family === family)
    .map(({ table, chain, rule }): Line => ({ table, chain, rule, comment }));
  return [...own, ...rules];
}

/**
 * The same for two rules that say the same: a container may have a thousand. Conditions are in the user's words, which
 * iptables-save may print otherwise: such a rule is known by its target.
 */
function keyOf(place: string, words: readonly string[], comment: string | undefined): string {
  const target = words.at(-1);
  const what = target?.startsWith(OWN_CHAIN) === true ? target : plain(words);
  return [place, comment ?? "", what].join("\n");
}

/** Whether two rules say the same but for their comments and the order of matches. */
export function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return plain(a) === plain(b);
}

/** Without its comment, which is two words and the match's two, and in an order of its own. */
function plain(words: readonly string[]): string {
  const at = words.indexOf("--comment");
  return (at < 0 ? words : [...words.slice(0, at - 2), ...words.slice(at + 2)]).toSorted().join(" ");
}

export function rulesOf(saved: Saved, table: string, chain: string): readonly SavedRule[] {
  return saved.get(table)?.chains.get(chain)?.rules ?? [];
}

/** The rules of a built-in chain that lead to ours, whatever they match. */
export function jumpsTo(saved: Saved, { table, from, to }: Pick<Jump, "table" | "from" | "to">): readonly SavedRule[] {
  return rulesOf(saved, table, from).filter(({ words }) => words.at(-2) === "-j" && words.at(-1) === to);
}
