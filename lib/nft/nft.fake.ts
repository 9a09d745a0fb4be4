/**
 * nftables in memory, for tests: reads the text that a transaction renders, as `nft` does, and complains in nft's
 * words, so that quoting, line numbers and errors.ts are part of what is tested.
 *
 * It knows the verbs, names and references, not the language of rules: a rule is kept as it was written, and any
 * rule is accepted whose chains and sets are there. What is written in the form that nft lists is dumped alike.
 *
 * @module
 */
import { type Cidr, firstOf, lastOf, parseCidr } from "../net/cidr.ts";
import { nftFailure } from "./errors.ts";
import type { Nft, NftBaseChain, NftChain, NftElement, NftRule, NftSet, NftTable } from "./nft.ts";
import type { NftFamily, NftHook } from "./specs.ts";

interface Rule {
  handle: number;
  text: string;
  comment?: string;
}
interface Chain {
  hook?: NftHook;
  rules: Rule[];
}
interface FakeSet {
  kind: "set" | "map";
  typeof: string;
  flags: string[];
  comment?: string;
  elements: Map<string, { value?: string; comment?: string }>;
}
interface Table {
  family: NftFamily;
  table: string;
  handles: number;
  chains: Map<string, Chain>;
  sets: Map<string, FakeSet>;
}
type Tables = Map<string, Table>;

const ENOENT = "No such file or directory";
const EEXIST = "File exists";
const EBUSY = "Device or resource busy";

/** nftables of a machine that has no rules yet. `dump` is `nft -sy list ruleset`, with one element a line, sorted. */
export function fakeNft(): Nft & { dump(): string } {
  let tables: Tables = new Map();
  return {
    async run(transaction) {
      const text = transaction.render();
      const changed = structuredClone(tables);
      for (const [index, line] of transaction.empty ? [] : text.trimEnd().split("\n").entries()) {
        const said = new Verb(line).apply(changed);
        if (said !== undefined) throw nftFailure(text, `/dev/stdin:${index + 1}:${said}\n${line}\n`);
      }
      tables = changed;
    },
    async list(family, table) {
      const found = tables.get(`${family} ${table}`);
      return found === undefined ? undefined : listed(found);
    },
    async tables() {
      return [...tables.values()].map(({ family, table }) => ({ family, table }));
    },
    async baseChains() {
      return [...tables.values()].flatMap(({ family, table, chains }) =>
        [...chains].flatMap(([chain, { hook }]): NftBaseChain[] =>
          hook === undefined ? [] : [{ family, table, chain, hook: { policy: "accept", ...hook } }],
        ),
      );
    },
    dump: () => [...tables.values()].map(dumped).join(""),
  };
}

/** One line of a transaction. `apply` changes the tables or returns `START-END: Error: ...` as nft would say it. */
class Verb {
  readonly line: string;
  readonly op: string;
  readonly object: string;
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly rest: string;

  constructor(line: string) {
    this.line = line;
    const [op = "", object = "", family = "", table = "", name = "", ...rest] = line.split(" ");
    this.op = op;
    this.object = object;
    this.family = family;
    this.table = table;
    this.name = name;
    this.rest = rest.join(" ");
  }

  apply(tables: Tables): string | undefined {
    const key = `${this.family} ${this.table}`;
    const found = tables.get(key);
    if (this.object === "table") {
      if (this.op === "delete") return tables.delete(key) ? undefined : this.#atTable(ENOENT);
      if (found === undefined) {
        const family = this.family as NftFamily;
        tables.set(key, { family, table: this.table, handles: 0, chains: new Map(), sets: new Map() });
      }
      return undefined;
    }
    if (found === undefined) return this.#atTable(ENOENT);
    if (this.object === "chain") return this.#chain(found);
    if (this.object === "rule") return this.#rule(found);
    if (this.object === "element") return this.#element(found);
    return this.#set(found);
  }

  #chain(table: Table): string | undefined {
    const chain = table.chains.get(this.name);
    if (this.op === "create" && chain !== undefined) return this.#atName(EEXIST);
    if (this.op === "add" || this.op === "create") {
      const hook = parseHook(this.rest);
      if (chain === undefined) {
        table.handles++;
        table.chains.set(this.name, hook === undefined ? { rules: [] } : { hook, rules: [] });
      } else if (hook !== undefined) {
        if (hookText(hook) !== hookText(chain.hook)) return this.#atName(EEXIST);
        chain.hook = { ...chain.hook, ...hook };
      }
      return undefined;
    }
    if (chain === undefined) return this.#atName(ENOENT);
    chain.rules = [];
    if (this.op === "flush") return undefined;
    if (isUsed(table, (text) => targetsOf(text).includes(this.name))) return this.#atName(EBUSY);
    table.chains.delete(this.name);
    return undefined;
  }

  #rule(table: Table): string | undefined {
    const chain = table.chains.get(this.name);
    if (chain === undefined) return this.#atName(ENOENT);
    if (this.op === "delete") {
      const handle = this.rest.slice("handle ".length);
      const at = chain.rules.findIndex((rule) => rule.handle === Number(handle));
      if (at < 0) return this.#inside(ENOENT, handle);
      chain.rules.splice(at, 1);
      return undefined;
    }
    const [, text = "", comment] = /^(.*?)(?: comment "([^"]*)")?$/.exec(this.rest) ?? [];
    const set = setsOf(text).find((name) => !table.sets.has(name));
    if (set !== undefined) return this.#inside(ENOENT, `@${set}`);
    const target = targetsOf(text).find((name) => !table.chains.has(name));
    if (target !== undefined) return this.#inside(ENOENT, target, text.search(RegExp(`(jump|goto) ${target}\\b`)) + 5);
    const rule = { handle: ++table.handles, text, ...(comment === undefined ? {} : { comment }) };
    if (this.op === "insert") chain.rules.unshift(rule);
    else chain.rules.push(rule);
    return undefined;
  }

  #set(table: Table): string | undefined {
    const set = table.sets.get(this.name);
    if (this.op === "add") {
      const made = parseSet(this.object === "map" ? "map" : "set", this.rest);
      if (made === undefined) return this.#inside("syntax error", this.rest);
      if (set === undefined) {
        table.handles++;
        table.sets.set(this.name, made);
      } else if (set.typeof !== made.typeof || String(set.flags) !== String(made.flags)) {
        return this.#atName(EEXIST);
      }
      return undefined;
    }
    if (set === undefined || set.kind !== this.object) return this.#atName(ENOENT);
    if (this.op === "flush") set.elements.clear();
    else if (isUsed(table, (text) => setsOf(text).includes(this.name))) return this.#atName(EBUSY);
    else table.sets.delete(this.name);
    return undefined;
  }

  #element(table: Table): string | undefined {
    const set = table.sets.get(this.name);
    if (set === undefined) return this.#atName(ENOENT);
    const parsed = /^\{ ((?:"[^"]*"|[^"])*?)(?: comment "([^"]*)")?(?: : ([^"]*))? \}$/.exec(this.rest);
    if (parsed === null) return this.#inside("syntax error", this.rest);
    const [, key = "", comment, value] = parsed;
    const there = set.elements.get(key);
    if (this.op === "delete") return set.elements.delete(key) ? undefined : this.#inside(ENOENT, key);
    if (there !== undefined && (this.op === "create" || there.value !== value)) return this.#inside(EEXIST, key);
    const target = targetsOf(value ?? "").find((name) => !table.chains.has(name));
    if (target !== undefined) return this.#inside(ENOENT, key);
    if (there !== undefined) return undefined;
    if (set.flags.includes("interval") && [...set.elements.keys()].some((other) => overlap(key, other))) {
      return this.#inside("interval overlaps with an existing one", key);
    }
    set.elements.set(key, { ...(value === undefined ? {} : { value }), ...(comment === undefined ? {} : { comment }) });
    return undefined;
  }

  #atTable(what: string): string {
    return complaint(what, `${this.op} ${this.object} ${this.family} `, this.table);
  }

  #atName(what: string): string {
    return complaint(what, `${this.op} ${this.object} ${this.family} ${this.table} `, this.name);
  }

  /** About `text`, the first of that kind from `from` on behind the names. */
  #inside(what: string, text: string, from = 0): string {
    const before = this.line.length - this.rest.length + this.rest.indexOf(text, from);
    return complaint(what, this.line.slice(0, before), text);
  }
}

/** nft counts columns in bytes, from 1, both ends included. */
function complaint(what: string, before: string, text: string): string {
  const start = Buffer.byteLength(before);
  return `${start + 1}-${start + Buffer.byteLength(text)}: Error: Could not process rule: ${what}`;
}

function parseHook(text: string): NftHook | undefined {
  const found = /^\{ type (\w+) hook (\w+) priority (-?\d+);(?: policy (\w+);)? \}$/.exec(text);
  if (found === null) return undefined;
  // The renderer wrote these words from the type.
  const [type, hook, policy] = [found[1], found[2], found[4]] as [NftHook["type"], NftHook["hook"], NftHook["policy"]];
  return { type, hook, priority: Number(found[3]), ...(policy === undefined ? {} : { policy }) };
}

function hookText(hook: NftHook | undefined): string {
  return hook === undefined ? "" : `type ${hook.type} hook ${hook.hook} priority ${hook.priority};`;
}

function parseSet(kind: "set" | "map", text: string): FakeSet | undefined {
  const found = /^\{ typeof ([^;]*);(?: flags ([^;]*);)?(?: comment "([^"]*)";)? \}$/.exec(text);
  if (found === null) return undefined;
  const [, type = "", flags, comment] = found;
  const made: FakeSet = { kind, typeof: type, flags: flags?.split(", ") ?? [], elements: new Map() };
  return comment === undefined ? made : { ...made, comment };
}

/** The chains that a rule or a verdict leads to. */
function targetsOf(text: string): string[] {
  return [...text.replace(/"[^"]*"/g, "").matchAll(/\b(?:jump|goto) ([\w./-]+)/g)].map(([, name = ""]) => name);
}

/** The sets and maps that a rule looks into; `@th,16,16` is none. */
function setsOf(text: string): string[] {
  return [...text.replace(/"[^"]*"/g, "").matchAll(/@([\w./-]+)(?!,|[\w./-])/g)].map(([, name = ""]) => name);
}

function isUsed(table: Table, by: (text: string) => boolean): boolean {
  for (const { rules } of table.chains.values()) if (rules.some(({ text }) => by(text))) return true;
  for (const { elements } of table.sets.values()) {
    for (const { value } of elements.values()) if (value !== undefined && by(value)) return true;
  }
  return false;
}

/** Whether two keys of an interval set overlap; keys of several fields are not looked into. */
function overlap(a: string, b: string): boolean {
  if (a.includes(" . ")) return false;
  const [first, second] = [rangeOf(a), rangeOf(b)];
  return first !== undefined && second !== undefined && first.from <= second.to && second.from <= first.to;
}

function rangeOf(key: string): { from: bigint; to: bigint } | undefined {
  const [from = "", to = from] = key.split("-");
  if (!/[.:]/.test(from)) return undefined;
  const asCidr = (text: string): Cidr =>
    parseCidr(text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`);
  return { from: firstOf(asCidr(from)).value, to: lastOf(asCidr(to)).value };
}

function listed(from: Table): NftTable {
  const chains = [...from.chains].map(([chain, { hook, rules }]): [string, NftChain] => {
    const plain = rules.map(
      ({ handle, comment }): NftRule => ({ handle, expressions: [], ...(comment === undefined ? {} : { comment }) }),
    );
    return [chain, { chain, rules: plain, ...(hook === undefined ? {} : { hook: { policy: "accept", ...hook } }) }];
  });
  const sets = [...from.sets].map(([set, { kind, flags, comment, elements }]): [string, NftSet] => {
    const plain = [...elements].map(([key, rest]): NftElement => ({ key, ...rest }));
    return [set, { set, kind, flags, elements: plain, ...(comment === undefined ? {} : { comment }) }];
  });
  return { family: from.family, table: from.table, chains: new Map(chains), sets: new Map(sets) };
}

function dumped({ family, table, sets, chains }: Table): string {
  const blocks: string[] = [];
  for (const [name, set] of sets) {
    const lines = [`typeof ${set.typeof}`];
    if (set.flags.length > 0) lines.push(`flags ${set.flags.join(",")}`);
    if (set.comment !== undefined) lines.push(`comment "${set.comment}"`);
    const elements = [...set.elements].map(
      ([key, { value, comment }]) => `\t${key}${quoted(comment)}${value === undefined ? "" : ` : ${value}`}`,
    );
    if (elements.length > 0) lines.push("elements = {", ...elements.sort(), "}");
    blocks.push(block(`${set.kind} ${name}`, lines));
  }
  for (const [name, { hook, rules }] of chains) {
    const lines = rules.map(({ text, comment }) => `${text}${quoted(comment)}`);
    if (hook !== undefined) lines.unshift(`${hookText(hook)} policy ${hook.policy ?? "accept"};`);
    blocks.push(block(`chain ${name}`, lines));
  }
  return `table ${family} ${table} {\n${blocks.join("\n")}}\n`;
}

function quoted(comment: string | undefined): string {
  return comment === undefined ? "" : ` comment "${comment}"`;
}

function block(head: string, lines: readonly string[]): string {
  return `\t${head} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}\n`;
}
