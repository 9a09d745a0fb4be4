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
  /** How many services lead to each chain of chains.ts. */
  readonly shared = new Counts();
  /** How many services each local endpoint serves, by {@link hairpinKey}. */
  readonly hairpins = new Counts();
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

/** A local endpoint as one text, and back. */
export function hairpinKey({ address, protocol, port }: Readonly<Element>): string {
  return `${protocol} ${port} ${address}`;
}

/** Makes `element` the local endpoint that the key stands for. */
export function setHairpin(element: Element, key: string): void {
  const [protocol = "", port, address = ""] = key.split(" ");
  element.protocol = protocol === "udp" || protocol === "sctp" ? protocol : "tcp";
  element.port = Number(port);
  element.address = address;
}
