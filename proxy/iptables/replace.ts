/**
 * The whole of one family, put in place over whatever is there.
 *
 * With iptables-nft the services' own chains go first, some hundred at a time: nobody jumps to a new one yet, and each
 * of those that are there is changed whole. This takes a quarter of the memory and half the time that one transaction
 * takes. What leads to them follows in one. iptables-legacy writes the whole table for whatever change: there it is
 * one transaction.
 *
 * @module
 */
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import type { PortRules, Table } from "../table/types.ts";
import { fixedChains, type Jump, jumpsOf, MARTIANS } from "./base.ts";
import { frontendKey } from "./key.ts";
import {
  addPlan,
  emptyPlan,
  FILTER_LISTS,
  filterChains,
  type Layout,
  type Lists,
  record,
  rulesOf,
  sharedNatChains,
  sortLists,
} from "./layout.ts";
import { CANARY, FIREWALL, MARK_MASQ, NOT_LOCAL } from "./names.ts";
import { planPort } from "./port.ts";
import type { Shape } from "./shape.ts";
import { type Chains, countRules, tableText } from "./text.ts";

const CHAINS_AT_ONCE = 500;

/** One call of iptables-restore. */
export interface Step {
  readonly text: string;
  /** Sets that have to be there before. */
  readonly sets: readonly string[];
}

export interface ReplaceOptions {
  readonly variant: IptablesVariant;
  /** The jumps that are there. */
  readonly present: ReadonlySet<Jump>;
}

/** The steps, in order, and what is in place after the last one. */
export function* replaceSteps(
  table: Table,
  shape: Shape,
  { variant, present }: ReplaceOptions,
): Generator<Step, { readonly layout: Layout; readonly written: number }> {
  const layout: Layout = { shape, lists: sortLists(emptyPlan()), sets: new Set(), nat: new Map(), filter: new Map() };
  const own = yield* serviceSteps(table, layout, variant);
  const shared = sharedNatChains(shape, layout.lists);
  const filter = filterChains(shape, layout.lists);
  record(layout.nat, shared);
  record(layout.filter, filter);
  const filterText = filterTextOf(shape, filter, present);
  // A refusal is there before its service is gone from nat, and goes after the service came: else packets with a
  // service's address would leave the host. Where nothing is there yet that is one step.
  const first = isFresh(present) ? filterText : refusalsFirst(layout.lists, present);
  const write = new Map([...own.rest, ...shared]);
  const nat = tableText("nat", { write, commands: jumpCommands("nat", shape, present) });
  const canary = tableText("mangle", { write: new Map([[CANARY, []]]) });
  const text = [first, nat, first === filterText ? "" : filterText, canary].join("");
  yield { text, sets: own.sets };
  return { layout, written: own.written + countRules(write) + countRules(filter) };
}

interface Rest {
  /** Chains that the last step has to write with what leads to them, and the sets for these. */
  readonly rest: Chains;
  readonly sets: readonly string[];
  /** Rules of the steps so far. */
  readonly written: number;
}

/** The services' own chains. Their entries are gathered meanwhile: the plans themselves are not kept. */
function* serviceSteps(table: Table, layout: Layout, variant: IptablesVariant): Generator<Step, Rest> {
  const all = emptyPlan();
  let part = emptyPlan();
  let written = 0;
  for (const ports of byAddress(table, layout.shape.family)) {
    for (const port of ports) addPlan(part, planPort(port, layout.shape));
    if (variant === "legacy" || part.chains.size < CHAINS_AT_ONCE) continue;
    const write = written === 0 ? new Map([...masqueradeChains(layout.shape), ...part.chains]) : part.chains;
    yield { text: tableText("nat", { write }), sets: [...part.sets] };
    written += countRules(write);
    record(layout.nat, part.chains);
    part.chains.clear();
    addPlan(all, part);
    part = emptyPlan();
  }
  record(layout.nat, part.chains);
  const rest = new Map(part.chains);
  part.chains.clear();
  addPlan(all, part);
  layout.lists = sortLists(all);
  for (const set of all.sets) layout.sets.add(set);
  return { rest, sets: [...part.sets], written };
}

/**
 * In the order in which their chains are jumped to. At every later change the kernel follows all jumps once (it looks
 * for loops), which takes it 30% less where rules lie in memory in this order.
 */
function byAddress({ services }: Table, family: 4 | 6): readonly (readonly PortRules[])[] {
  const keyed = [...services.values()].map((ports) => {
    const frontend = ports[0]?.frontends[0];
    return { ports, key: frontend === undefined ? "" : frontendKey(family, "tcp", frontend) };
  });
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ ports }) => ports);
}

/** What the services' chains jump to beside each other. */
function masqueradeChains(shape: Shape): Chains {
  return new Map([...fixedChains(shape).nat].filter(([chain]) => chain === MARK_MASQ || chain === NOT_LOCAL));
}

function filterTextOf(shape: Shape, chains: Chains, present: ReadonlySet<Jump>): string {
  const write = new Map(chains);
  if (shape.family === 4) write.set(FIREWALL, [MARTIANS]);
  return tableText("filter", { write, commands: jumpCommands("filter", shape, present) });
}

function isFresh(present: ReadonlySet<Jump>): boolean {
  return ![...present].some(({ to }) => FILTER_LISTS.some(([chain]) => chain === to));
}

/** What shall be refused beside what is refused already. */
function refusalsFirst(lists: Lists, present: ReadonlySet<Jump>): string {
  const there = FILTER_LISTS.filter(([chain]) =>
    [...present].some(({ table, to }) => table === "filter" && to === chain),
  );
  const commands = there.flatMap(([chain, list]) => rulesOf(lists[list]).map((rule) => `-A ${chain} ${rule}`));
  return tableText("filter", { commands });
}

/** Puts those that are missing at the head of their chains, in their order. */
function jumpCommands(table: Jump["table"], { family }: Shape, present: ReadonlySet<Jump>): readonly string[] {
  const missing = jumpsOf(family).filter((jump) => jump.table === table && !present.has(jump));
  return missing.reverse().map(({ chain, rule }) => `-I ${chain} ${rule}`);
}
