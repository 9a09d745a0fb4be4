/**
 * What is remembered of a table that was committed. Next to nothing: what a service was is told with each change of
 * it, so only what services share is counted.
 *
 * @module
 */
import type { Table } from "../table/types.ts";
import type { ChainContext } from "./chains.ts";
import type { Element } from "./elements.ts";

export class Committed {
  readonly context: ChainContext;
  table: Table;
  /** How many service ports lead to each chain of chains.ts. */
  readonly shared = new Counts();
  /** How many services have each element of the sets that {@link countedKey} knows, by its key. */
  readonly counted = new Counts();
  /** Chains and sets that nothing leads to any more, and since when, in ms of `performance.now()`. */
  readonly stale = new Map<string, Stale>();

  constructor(context: ChainContext, table: Table) {
    this.context = context;
    this.table = table;
  }
}

export interface Stale {
  readonly kind: "chain" | "set";
  readonly since: number;
  /** It could not be deleted and is without rules now. */
  readonly emptied: boolean;
}

/** Names and how often each is used. */
export class Counts {
  readonly #counts = new Map<string, number>();

  /** Adds `by`, which may be negative, and returns what there is now. */
  add(name: string, by: number): number {
    const count = (this.#counts.get(name) ?? 0) + by;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
    return count;
  }

  /** 0 if it is not used. */
  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  has(name: string): boolean {
    return this.#counts.has(name);
  }

  keys(): Iterable<string> {
    return this.#counts.keys();
  }
}

/**
 * An element that several services may have, as one text; undefined for all others. Endpoints on this node are shared
 * by services that select the same pods; one cluster IP of two services is a mistake of somebody's, and when one of
 * them goes the other shall work.
 */
export function countedKey(
  { set, address, protocol, port }: Readonly<Element>,
  { sets }: ChainContext,
): string | undefined {
  if (set === sets.clusterIPs) return address;
  return set === sets.hairpin ? `${address} ${protocol} ${port}` : undefined;
}

/** Makes `element` the one that a key stands for. */
export function setCounted(element: Element, key: string, { sets }: ChainContext): void {
  const [address = "", protocol, port] = key.includes(" ") ? key.split(" ") : [key];
  element.set = port === undefined ? sets.clusterIPs : sets.hairpin;
  element.address = address;
  element.protocol = protocol === "udp" || protocol === "sctp" ? protocol : "tcp";
  element.port = Number(port ?? 0);
}
