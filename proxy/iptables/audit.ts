/**
 * Compares what the kernel holds with what was put in place, as a listing streams by: one chain is in memory at a
 * time, and of what was put in place a number for each chain.
 *
 * A chain whose number differs may just be printed in another way. Only then are the rules that it should have
 * planned once more, from the services as they are by then.
 *
 * @module
 */
import type { IptablesTable } from "../../lib/iptables/transaction.ts";
import type { Table } from "../table/types.ts";
import { jumpsOf, MARTIANS } from "./base.ts";
import { normalRule, sameRule } from "./compare.ts";
import type { ProxyHost } from "./host.ts";
import { filterChains, type Layout, planPorts, sharedNatChains } from "./layout.ts";
import { CANARY, FIREWALL, isServiceChain } from "./names.ts";
import { fingerprint } from "./text.ts";

/** Something that is not as it was put in place. */
export interface Finding {
  /** The table's and the chain's name. */
  readonly place: string;
  /** One line. */
  readonly text: string;
}

export interface AuditOptions {
  readonly layout: Layout;
  readonly table: Table;
  /** Given, chains of earlier lives count, but for these. */
  readonly leftoversBut?: ReadonlySet<string>;
}

/** What is missing, too much or different. */
export async function auditRules(
  host: ProxyHost,
  { layout, table, leftoversBut }: AuditOptions,
): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  for (const name of ["nat", "filter"] as const) {
    const wanted = new Map(layout[name]);
    const different = new Map<string, readonly string[]>();
    await readTable(host, name, {
      chain: (chain) => {
        if (name === "nat" && leftoversBut?.has(chain) === false && isServiceChain(chain) && !wanted.has(chain)) {
          found.push(finding(name, chain, "is left over"));
        }
      },
      rules: (chain, rules) => {
        checkBuiltIn(host.family, name, chain, rules, found);
        if (wanted.has(chain) && wanted.get(chain) !== fingerprint(rules)) different.set(chain, rules);
      },
      end: (chains) => {
        for (const chain of wanted.keys()) if (!chains.has(chain)) found.push(finding(name, chain, "is missing"));
      },
    });
    found.push(...differences(name, different, layout, table));
  }
  found.push(...(await missingCanary(host)));
  return found;
}

interface Reader {
  chain(chain: string): void;
  rules(chain: string, rules: readonly string[]): void;
  end(chains: ReadonlySet<string>): void;
}

async function readTable({ iptables, family }: ProxyHost, table: IptablesTable, reader: Reader): Promise<void> {
  const chains = new Set<string>();
  const unread = new Set<string>();
  let current = "";
  let rules: string[] = [];
  const finish = () => {
    if (current !== "") reader.rules(current, rules);
    unread.delete(current);
  };
  await iptables.save(family, table, (line) => {
    if (line.startsWith(":")) {
      const chain = line.slice(1, line.indexOf(" "));
      chains.add(chain);
      unread.add(chain);
      reader.chain(chain);
    } else if (line.startsWith("-A ")) {
      const end = line.indexOf(" ", 3);
      const chain = end < 0 ? line.slice(3) : line.slice(3, end);
      if (chain !== current) {
        finish();
        current = chain;
        rules = [];
      }
      rules.push(end < 0 ? "" : line.slice(end + 1));
    }
    return undefined;
  });
  finish();
  for (const chain of unread) reader.rules(chain, []);
  reader.end(chains);
}

function checkBuiltIn(
  family: 4 | 6,
  table: IptablesTable,
  chain: string,
  rules: readonly string[],
  found: Finding[],
): void {
  for (const jump of jumpsOf(family)) {
    if (jump.table !== table || jump.chain !== chain) continue;
    if (rules.some((rule) => sameRule(rule, jump.rule))) continue;
    found.push(finding(table, chain, `does not jump to ${jump.to}`));
  }
  if (family === 4 && chain === FIREWALL && !rules.some((rule) => sameRule(rule, MARTIANS))) {
    found.push(finding(table, chain, "does not drop what comes from elsewhere to 127.0.0.0/8"));
  }
}

/** What differs in more than in how it is printed. */
function differences(
  table: "nat" | "filter",
  different: ReadonlyMap<string, readonly string[]>,
  layout: Layout,
  { services }: Table,
): readonly Finding[] {
  if (different.size === 0) return [];
  const { shape, lists } = layout;
  const shared = table === "nat" ? sharedNatChains(shape, lists) : filterChains(shape, lists);
  const chains = table === "nat" ? new Map([...planPorts(services.values(), shape).chains, ...shared]) : shared;
  const found: Finding[] = [];
  for (const [chain, rules] of different) {
    const wanted = chains.get(chain);
    // What changed meanwhile is looked at the next time.
    if (wanted === undefined || fingerprint(wanted) !== layout[table].get(chain)) continue;
    const normal = rules.map(normalRule);
    if (wanted.length === rules.length && wanted.every((rule, at) => normalRule(rule) === normal[at])) continue;
    found.push(finding(table, chain, `has other rules than were put there (${rules.length}, not ${wanted.length})`));
  }
  return found;
}

async function missingCanary({ iptables, family }: ProxyHost): Promise<readonly Finding[]> {
  const canary = await iptables.rules(family, "mangle", CANARY);
  return canary === undefined ? [finding("mangle", CANARY, "is missing")] : [];
}

function finding(table: IptablesTable, chain: string, what: string): Finding {
  return { place: `${table} ${chain}`, text: `${table} chain ${chain} ${what}` };
}
