/**
 * iptables in memory, for tests: reads the text that a transaction renders, as `iptables-restore --noflush` does,
 * and complains in its words, so that quoting, line numbers and errors.ts are part of what is tested.
 *
 * It knows the commands and the chains, not the language of rules: a rule is kept as it was written, in the order
 * that iptables-save prints (addresses, interfaces and protocol first, then matches), and any rule is accepted
 * whose chain is there. What is written in the form of iptables-save is dumped alike.
 *
 * @module
 */
import { iptablesFailure } from "./errors.ts";
import type { Iptables, IptablesVariant } from "./iptables.ts";
import { parseSave, wordsOf } from "./save.ts";

interface Chain {
  readonly builtIn: boolean;
  rules: Rule[];
}
interface Rule {
  readonly text: string;
  readonly target: string | undefined;
}
type Tables = Map<string, Map<string, Chain>>;

const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  raw: ["PREROUTING", "OUTPUT"],
  mangle: ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  filter: ["INPUT", "FORWARD", "OUTPUT"],
  security: ["INPUT", "FORWARD", "OUTPUT"],
};
const TARGETS = new Set([
  "ACCEPT",
  "DROP",
  "RETURN",
  "REJECT",
  "MASQUERADE",
  "DNAT",
  "SNAT",
  "REDIRECT",
  "MARK",
  "LOG",
  "CT",
]);
const FIRST = ["-s", "-d", "-i", "-o", "-p"];
const NO_RULE = "Bad rule (does a matching rule exist in that chain?).";
const NO_CHAIN = "No chain/target/match by that name.";

/**
 * Both families of a host that has no rules yet. `dump` is iptables-save without remarks and counters, tables and
 * chains sorted by name, less what is there by itself: built-in chains without rules, and tables of nothing else.
 */
export function fakeIptables(options: { readonly variant?: IptablesVariant } = {}): Iptables & {
  dump(family: 4 | 6): string;
} {
  const { variant = "nft" } = options;
  const hosts: Record<4 | 6, Tables> = { 4: new Map(), 6: new Map() };
  const program = (family: 4 | 6) => `${family === 4 ? "iptables" : "ip6tables"}-${variant}-restore`;
  return {
    variant,
    async run(family, transaction) {
      if (transaction.empty) return;
      const text = transaction.render();
      const complaint = restore(hosts[family], text);
      if (complaint !== undefined) {
        throw iptablesFailure({ program: program(family), text, stderr: `${program(family)}: ${complaint}` });
      }
    },
    async save(family, tables) {
      const saved = parseSave(dumpOf(hosts[family], true));
      return new Map([...saved].filter(([name]) => tables === undefined || tables.some((table) => table === name)));
    },
    dump: (family) => dumpOf(hosts[family], false),
  };
}

/** Applies the text table by table; returns the complaint about the first line that fails. */
function restore(host: Tables, text: string): string | undefined {
  let table = "";
  let chains = new Map<string, Chain>();
  for (const [index, line] of text.trimEnd().split("\n").entries()) {
    if (line.startsWith("*")) {
      table = line.slice(1);
      chains = structuredClone(host.get(table)) ?? builtIn(table);
    } else if (line === "COMMIT") host.set(table, chains);
    else {
      const complaint = apply(chains, line);
      if (complaint !== undefined) return `line ${index + 1} failed: ${complaint}`;
    }
  }
  return undefined;
}

function apply(chains: Map<string, Chain>, line: string): string | undefined {
  const [, command = "", name = "", rest = ""] = /^(:|-\w )(\S+) ?(.*)$/.exec(line) ?? [];
  const chain = chains.get(name);
  if (command === ":" || command === "-N ") {
    if (chain !== undefined && command === "-N ") return "Chain already exists.";
    chains.set(name, { builtIn: false, rules: [] });
    return undefined;
  }
  if (chain === undefined) return command === "-D " ? NO_RULE : NO_CHAIN;
  if (command === "-F ") chain.rules = [];
  else if (command === "-X ") {
    const used = [...chains.values()].some(({ rules }) => rules.some(({ target }) => target === name));
    if (used || chain.rules.length > 0) return `CHAIN_DEL failed (Device or resource busy): chain ${name}`;
    chains.delete(name);
  } else return applyRule(chains, chain, command, parseRule(rest));
  return undefined;
}

function applyRule(chains: Map<string, Chain>, chain: Chain, command: string, rule: Rule): string | undefined {
  if (command === "-D ") {
    const at = chain.rules.findIndex(({ text }) => text === rule.text);
    if (at < 0) return NO_RULE;
    chain.rules.splice(at, 1);
    return undefined;
  }
  const { target } = rule;
  if (target !== undefined && !TARGETS.has(target) && !chains.has(target)) return `Chain '${target}' does not exist`;
  if (command === "-I ") chain.rules.unshift(rule);
  else chain.rules.push(rule);
  return undefined;
}

function builtIn(table: string): Map<string, Chain> {
  return new Map((BUILT_IN[table] ?? []).map((name) => [name, { builtIn: true, rules: [] }]));
}

/** Puts the words in the order that iptables-save prints. What follows `-j` is the target's. */
function parseRule(text: string): Rule {
  const words = wordsOf(text);
  const first = new Map<string, string>();
  const matches: string[] = [];
  let at = 0;
  while (at < words.length && !/^-[jg]$/.test(words[at] ?? "")) {
    const [word = "", next = ""] = words.slice(at);
    const option = word === "!" ? next : word;
    if (word === "--comment") {
      matches.push(word, quote(next));
      at += 2;
    } else if (FIRST.includes(option)) {
      const length = word === "!" ? 3 : 2;
      first.set(option, words.slice(at, at + length).join(" "));
      at += length;
    } else {
      matches.push(word);
      at++;
    }
  }
  const target = words.slice(at);
  const ordered = [...FIRST.flatMap((option) => first.get(option) ?? []), ...matches, ...target];
  return { text: ordered.join(" "), target: target[1] };
}

/** As iptables-save quotes a text. */
function quote(text: string): string {
  return /^[\w-]+$/.test(text) ? text : `"${text.replace(/["\\']/g, "\\$&")}"`;
}

function dumpOf(host: Tables, whole: boolean): string {
  let text = "";
  for (const [table, chains] of [...host].sort(byName)) {
    const shown = [...chains].filter(([, { builtIn, rules }]) => whole || !builtIn || rules.length > 0).sort(byName);
    if (shown.length === 0) continue;
    const heads = shown.map(([name, chain]) => `:${name} ${chain.builtIn ? "ACCEPT" : "-"}`);
    const rules = shown.flatMap(([name, chain]) => chain.rules.map(({ text }) => `-A ${name} ${text}`.trimEnd()));
    text += `${[`*${table}`, ...heads, ...rules, "COMMIT"].join("\n")}\n`;
  }
  return text;
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
