/**
 * The table as text that `nft -f` takes, made by the same hands as what is sent to the kernel: what `nft list table`
 * shows of it, but for the order of elements.
 *
 * @module
 */

import { type BuiltRule, ruleText } from "../../lib/nft/rule.ts";
import { setText } from "../../lib/nft/settype.ts";
import type { BackendSettings } from "../backend.ts";
import type { Table } from "../table/types.ts";
import { type BaseChain, baseChains, chainContext } from "./base.ts";
import { sharedRules } from "./chains.ts";
import { type Element, ServiceVisit } from "./elements.ts";
import { LAYOUT, OTHER_TABLE } from "./full.ts";
import { listSets, type ProxySet, tableOf } from "./sets.ts";
import { type Sticky, stickyOf } from "./sticky.ts";

/** One transaction that puts the whole table in place of what is there. */
export function renderTable(settings: BackendSettings, table: Table): string {
  const context = chainContext(settings, table.node);
  const { family, table: name } = tableOf(context.family);
  const chains = new Set<string>();
  const stickies: Sticky[] = [];
  const elements = new Map<string, Set<string>>();
  const services = new ServiceVisit(context, {
    element: (element) => addTo(elements, element.set.name, textOf(element)),
    shared: (chain) => void chains.add(chain),
  });
  for (const ports of table.services.values()) {
    services.visit(ports);
    for (const rules of ports) {
      const sticky = stickyOf(rules, context);
      if (sticky !== undefined) stickies.push(sticky);
    }
  }
  const sets = [
    ...listSets(context.sets),
    ...stickies.flatMap(({ members, affinity }) => [...members, ...affinity.map(({ map }) => map)]),
  ];
  const all: readonly BaseChain[] = [
    ...baseChains(settings, table, context),
    ...[...chains].map((chain) => ({ chain, rules: sharedRules(chain, context) })),
    ...stickies.flatMap((sticky) => sticky.chains),
  ];
  const replaced = [OTHER_TABLE, name].flatMap((each) => [
    `add table ${family} ${each}`,
    `delete table ${family} ${each}`,
  ]);
  const body = [
    `\tcomment "${LAYOUT}"`,
    ...sets.flatMap((set) => indent(["", ...setBlock(set, elements.get(set.name))])),
    ...all.flatMap((chain) => indent(["", ...chainBlock(chain)])),
  ];
  return `${[...replaced, `table ${family} ${name} {`, ...body, "}"].join("\n")}\n`;
}

function setBlock(set: ProxySet, elements: ReadonlySet<string> | undefined): readonly string[] {
  const list = elements === undefined ? [] : [`\telements = { ${[...elements].join(",\n\t\t     ")} }`];
  return [...setText(set), ...list, "}"];
}

function chainBlock({ chain, hook, rules }: BaseChain): readonly string[] {
  const head =
    hook === undefined ? [] : [`\ttype ${hook.type} hook ${hook.hook} priority ${hook.priority}; policy accept;`];
  return [`chain ${chain} {`, ...head, ...rules.map((rule) => `\t${withComment(rule)}`), "}"];
}

function withComment(rule: BuiltRule): string {
  return rule.comment === undefined ? ruleText(rule) : `${ruleText(rule)} comment "${rule.comment}"`;
}

/** An element as nft writes it. */
function textOf(element: Readonly<Element>): string {
  const { set, target, targetPort, comment } = element;
  const key = set.roles.map((role) => fieldText(element, role)).join(" . ");
  const note = comment === "" ? "" : ` comment "${comment}"`;
  if (set.holds === "endpoint") return `${key}${note} : ${target} . ${targetPort}`;
  if (set.holds === "verdict") return `${key}${note} : ${target === "" ? "drop" : `goto ${target}`}`;
  return `${key}${note}`;
}

function fieldText(element: Readonly<Element>, role: ProxySet["roles"][number]): string {
  if (role === "address" || role === "pair") return element.address;
  if (role === "source")
    return element.source.replace(/\/(?:32|128)$/, (prefix) => (isWhole(element, prefix) ? "" : prefix));
  return String(element[role]);
}

function isWhole({ set }: Readonly<Element>, prefix: string): boolean {
  return prefix === (set.family === "ip" ? "/32" : "/128");
}

function indent(lines: readonly string[]): readonly string[] {
  return lines.map((line) => (line === "" ? "" : `\t${line}`));
}

function addTo(lists: Map<string, Set<string>>, name: string, text: string): void {
  const list = lists.get(name);
  if (list === undefined) lists.set(name, new Set([text]));
  else list.add(text);
}
