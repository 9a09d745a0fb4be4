/**
 * Changes of some services as one transaction: the elements that differ, and the chains and sets that are new. What is
 * not used any more is only noted down: the kernel may still hold on to it for a moment.
 *
 * @module
 */
import { NftBatch } from "../../lib/nft/nftbatch.ts";
import type { ServiceChange, Table } from "../table/types.ts";
import { sharedRules } from "./chains.ts";
import { type Committed, countedKey, setCounted } from "./committed.ts";
import { blankElement, type Element, ServiceVisit } from "./elements.ts";
import { addEmpty, writeChains } from "./full.ts";
import { type AffinityMap, type Sticky, stickyOf } from "./sticky.ts";
import { ElementWriter } from "./write.ts";

/** What a change comes to. */
export interface Written {
  /** Whether there is anything to send. */
  readonly changed: boolean;
  /** Whether chains are made or written anew. */
  readonly chainsChanged: boolean;
  /** Maps of clients with endpoints that have gone. */
  readonly purge: readonly AffinityMap[];
  /**
   * What goes ahead of the rest if there is anything to purge: the members that have gone are not learned any more, and
   * whoever is purged then stays so. Else a client that came between the change and the purge would still be led to one.
   */
  readonly departures: NftBatch | undefined;
  /** To be called once it was sent. */
  readonly commit: () => void;
}

/** Writes what `changes` take, on top of what was committed. */
export function writeChange(
  batch: NftBatch,
  committed: Committed,
  table: Table,
  changes: ReadonlyMap<string, ServiceChange>,
): Written {
  const difference = new Difference(committed, table, changes);
  difference.visit();
  const { newChains, purge } = difference.writeObjects(batch);
  const departures = purge.length > 0 ? difference.takeDepartures() : undefined;
  difference.writeElements(batch);
  return {
    changed: batch.messages > 0,
    chainsChanged: newChains,
    purge,
    departures,
    commit: () => difference.commit(),
  };
}

class Difference {
  readonly #committed: Committed;
  readonly #table: Table;
  readonly #changes: ReadonlyMap<string, ServiceChange>;
  readonly #gone = new Map<string, Element>();
  readonly #come = new Map<string, Element>();
  readonly #shared = new Map<string, number>();
  readonly #counted = new Map<string, number>();
  readonly #before: Sticky[] = [];
  readonly #after: Sticky[] = [];

  constructor(committed: Committed, table: Table, changes: ReadonlyMap<string, ServiceChange>) {
    this.#committed = committed;
    this.#table = table;
    this.#changes = changes;
  }

  visit(): void {
    const { context } = this.#committed;
    for (const [by, side, stickies] of [
      [-1, "before", this.#before],
      [1, "after", this.#after],
    ] as const) {
      const services = new ServiceVisit(context, {
        element: (element) => this.#element(element, by),
        shared: (chain) => count(this.#shared, chain, by),
      });
      for (const change of this.#changes.values()) {
        const ports = change[side];
        if (ports === undefined) continue;
        services.visit(ports);
        for (const rules of ports) {
          const sticky = rules.affinitySeconds === undefined ? undefined : stickyOf(rules, context);
          if (sticky !== undefined) stickies.push(sticky);
        }
      }
    }
  }

  /** Chains and sets that are new, or hold other rules than before. */
  writeObjects(batch: NftBatch): { readonly newChains: boolean; readonly purge: readonly AffinityMap[] } {
    const { context, shared, stale } = this.#committed;
    const beforeSets = setsOf(this.#before);
    for (const [name, set] of setsOf(this.#after)) if (!beforeSets.has(name)) addEmpty(batch, set);
    const isWhole = (chain: string) => shared.has(chain) || stale.get(chain)?.emptied === false;
    const fresh = [...this.#shared].filter(([chain, by]) => by > 0 && !isWhole(chain));
    const beforeChains = chainsOf(this.#before);
    const written = [...chainsOf(this.#after).values()].filter(
      ({ chain, text }) => beforeChains.get(chain)?.text !== text,
    );
    const chains = [...fresh.map(([chain]) => ({ chain, rules: sharedRules(chain, context) })), ...written];
    writeChains(batch, context, chains);
    return { newChains: chains.length > 0, purge: this.#purge() };
  }

  /** The members that have gone, which nobody else writes then. */
  takeDepartures(): NftBatch {
    const members = new Set(this.#before.flatMap((sticky) => sticky.members.map(({ name }) => name)));
    const batch = new NftBatch();
    const writer = new ElementWriter(batch, "delete");
    for (const [key, element] of this.#gone) {
      if (!members.has(element.set.name)) continue;
      writer.write(element);
      this.#gone.delete(key);
    }
    writer.flush();
    return batch;
  }

  /** What goes first: an address may pass from one service to another. */
  writeElements(batch: NftBatch): void {
    for (const verb of ["delete", "add"] as const) {
      const writer = new ElementWriter(batch, verb);
      for (const element of (verb === "delete" ? this.#gone : this.#come).values()) writer.write(element);
      this.#writeCounted(writer, verb);
      writer.flush();
    }
  }

  commit(): void {
    const { shared, counted, stale } = this.#committed;
    const since = performance.now();
    this.#committed.table = this.#table;
    for (const [key, by] of this.#counted) counted.add(key, by);
    for (const [chain, by] of this.#shared) {
      const had = shared.has(chain);
      if (shared.add(chain, by) > 0) stale.delete(chain);
      else if (had) stale.set(chain, { kind: "chain", since, emptied: false });
    }
    const afterChains = chainsOf(this.#after);
    const afterSets = setsOf(this.#after);
    for (const chain of chainsOf(this.#before).keys())
      if (!afterChains.has(chain)) stale.set(chain, { kind: "chain", since, emptied: false });
    for (const set of setsOf(this.#before).keys())
      if (!afterSets.has(set)) stale.set(set, { kind: "set", since, emptied: false });
    for (const name of [...afterChains.keys(), ...afterSets.keys()]) stale.delete(name);
  }

  #element(element: Readonly<Element>, by: 1 | -1): void {
    const counted = countedKey(element, this.#committed.context);
    if (counted !== undefined) {
      count(this.#counted, counted, by);
      return;
    }
    const key = keyOf(element);
    const gone = this.#gone.get(key);
    if (by < 0) this.#gone.set(key, { ...element });
    else if (gone !== undefined && isSame(gone, element)) this.#gone.delete(key);
    else this.#come.set(key, { ...element });
  }

  #writeCounted(writer: ElementWriter, verb: "add" | "delete"): void {
    const { context, counted } = this.#committed;
    const element = blankElement(context.sets.hairpin);
    for (const [key, by] of this.#counted) {
      const had = counted.get(key) > 0;
      const has = counted.get(key) + by > 0;
      if (had === has || has !== (verb === "add")) continue;
      setCounted(element, key, context);
      writer.write(element);
    }
  }

  #purge(): readonly AffinityMap[] {
    const before = new Map(
      this.#before.flatMap(({ affinity }) => affinity.map((each) => [each.map.name, each.endpoints])),
    );
    return this.#after
      .flatMap(({ affinity }) => affinity)
      .filter(({ map, endpoints }) => {
        const had = before.get(map.name);
        return had !== undefined && [...had].some((address) => !endpoints.has(address));
      });
  }
}

function setsOf(stickies: readonly Sticky[]) {
  return new Map(
    stickies
      .flatMap(({ members, affinity }) => [...members, ...affinity.map(({ map }) => map)])
      .map((set) => [set.name, set]),
  );
}

function chainsOf(stickies: readonly Sticky[]) {
  return new Map(stickies.flatMap(({ chains }) => chains).map((chain) => [chain.chain, chain]));
}

function count(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

function keyOf({ set, address, protocol, port, index, source }: Readonly<Element>): string {
  return `${set.name} ${address} ${protocol} ${port} ${index} ${source}`;
}

function isSame(a: Readonly<Element>, b: Readonly<Element>): boolean {
  return a.target === b.target && a.targetPort === b.targetPort && a.comment === b.comment;
}
