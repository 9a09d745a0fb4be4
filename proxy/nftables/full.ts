/**
 * The whole table as one transaction, over nothing or over what an earlier life left: its chains are written anew, its
 * maps emptied and filled, and only what clients are used to stays. No packet sees anything in between.
 *
 * @module
 */
import type { NftBatch } from "../../lib/nft/nftbatch.ts";
import type { BackendSettings } from "../backend.ts";
import type { Table } from "../table/types.ts";
import { type BaseChain, baseChains } from "./base.ts";
import { type ChainContext, sharedRules } from "./chains.ts";
import { Committed, countedKey } from "./committed.ts";
import { type Element, ServiceVisit } from "./elements.ts";
import { listSets, type ProxySet, tableOf } from "./sets.ts";
import { type Sticky, stickyOf } from "./sticky.ts";
import { ElementWriter } from "./write.ts";

/** Says whose table it is, and how it is laid out: one of another layout is replaced whole, the maps of clients too. */
export const LAYOUT = "services by tsnet proxy, layout 1";
/** The real one's, which must not stand beside ours. It is deleted unread. */
export const OTHER_TABLE = "kube-proxy";

export interface Full {
  readonly settings: BackendSettings;
  readonly context: ChainContext;
  readonly table: Table;
}

/** Writes the transaction. With `fresh`, whatever is there of ours goes first. */
export function writeFull(batch: NftBatch, { settings, context, table }: Full, fresh: boolean): Committed {
  const at = tableOf(context.family);
  const committed = new Committed(context, table);
  const stickies = countChains(committed);
  batch.addTable(at, LAYOUT);
  if (fresh) {
    batch.deleteTable(at);
    batch.addTable(at, LAYOUT);
  }
  for (const set of listSets(context.sets)) addEmpty(batch, set);
  for (const { members, affinity } of stickies) {
    for (const set of members) addEmpty(batch, set);
    for (const { map } of affinity) batch.addSet(at, map);
  }
  writeChains(batch, context, [
    ...baseChains(settings, table, context),
    ...[...committed.shared.keys()].map((chain) => ({ chain, rules: sharedRules(chain, context) })),
    ...stickies.flatMap(({ chains }) => chains),
  ]);
  writeElements(batch, committed);
  const other = { ...at, table: OTHER_TABLE };
  batch.addTable(other);
  batch.deleteTable(other);
  return committed;
}

/** Writes chains that lead to each other in any way: all of them first, then what is in them, instead of what was. */
export function writeChains(batch: NftBatch, { family }: ChainContext, chains: readonly BaseChain[]): void {
  const at = tableOf(family);
  for (const { chain, hook } of chains) batch.addChain({ ...at, chain }, hook === undefined ? {} : { hook });
  for (const { chain, rules } of chains) {
    const name = { ...at, chain };
    batch.flushChain(name);
    for (const rule of rules) batch.addRule(name, rule);
  }
}

/** Makes a set, or empties the one that is there. */
export function addEmpty(batch: NftBatch, set: ProxySet): void {
  batch.addSet(set, set);
  batch.flushSet(set);
}

function countChains({ context, table, shared }: Committed): readonly Sticky[] {
  const stickies: Sticky[] = [];
  const visitor = { element: () => {}, shared: (chain: string) => void shared.add(chain, 1) };
  const services = new ServiceVisit(context, visitor);
  for (const ports of table.services.values()) {
    services.visit(ports);
    for (const rules of ports) {
      const sticky = rules.affinitySeconds === undefined ? undefined : stickyOf(rules, context);
      if (sticky !== undefined) stickies.push(sticky);
    }
  }
  return stickies;
}

function writeElements(batch: NftBatch, { context, table, counted }: Committed): void {
  const writer = new ElementWriter(batch, "add");
  const visitor = {
    element(element: Readonly<Element>) {
      const key = countedKey(element, context);
      if (key === undefined || counted.add(key, 1) === 1) writer.write(element);
    },
  };
  const services = new ServiceVisit(context, visitor);
  for (const ports of table.services.values()) services.visit(ports);
  writer.flush();
}
