/**
 * Finds the services that the kernel refuses, so that they do not stop the others: one transaction that fails says
 * at best which element it failed at.
 *
 * Halves are tried. What is known to be good grows by each half that goes through with it, so that in the end the
 * good ones are in place; a half that does not is halved again. A refused service costs about the logarithm of the
 * number of services in tries, nearly all of which fail and so change nothing. When more are refused than a few,
 * the fault is not the services', and the first error is thrown.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import type { Applied, Backend } from "../backend.ts";
import type { PortRules, Table } from "../table/types.ts";

const MOST = 8;

export interface Isolated {
  /** Why, by service. */
  readonly refused: ReadonlyMap<string, string>;
  /** What put the others in place. */
  readonly applied: Applied;
}

type Entry = readonly [string, readonly PortRules[]];

/**
 * Puts in place what the kernel takes of `table`. `suspects` are the services that changed since the last time that
 * all went well, `cause` is what putting all of it in place failed by.
 *
 * @throws `cause` if it is not for single services.
 */
export async function isolate(
  backend: Backend,
  table: Table,
  suspects: ReadonlySet<string>,
  cause: unknown,
): Promise<Isolated> {
  const search = new Search(backend, table, cause);
  const entries = [...table.services];
  // One try, and nobody but the suspects is without rules meanwhile.
  await search.settle(entries.filter(([service]) => !suspects.has(service)));
  await search.settle(entries.filter(([service]) => suspects.has(service)));
  return search.finish();
}

class Search {
  readonly #backend: Backend;
  readonly #table: Table;
  readonly #cause: unknown;
  readonly #refused = new Map<string, string>();
  #good: readonly Entry[] = [];

  constructor(backend: Backend, table: Table, cause: unknown) {
    this.#backend = backend;
    this.#table = table;
    this.#cause = cause;
  }

  /** Puts `entries` in place beside the good ones, or finds those of them that cannot be. */
  async settle(entries: readonly Entry[]): Promise<void> {
    const [first] = entries;
    if (first === undefined) return;
    try {
      await this.#replace([...this.#good, ...entries]);
      this.#good = [...this.#good, ...entries];
    } catch (error) {
      if (entries.length === 1) {
        this.#refused.set(first[0], messageOf(error));
        if (this.#refused.size > MOST) throw this.#cause;
        return;
      }
      const middle = Math.ceil(entries.length / 2);
      await this.settle(entries.slice(0, middle));
      await this.settle(entries.slice(middle));
    }
  }

  async finish(): Promise<Isolated> {
    if (this.#good.length === 0) throw this.#cause;
    try {
      // Whatever was wrong may have passed meanwhile.
      return { refused: new Map(), applied: await this.#replace([...this.#table.services]) };
    } catch {
      return { refused: this.#refused, applied: await this.#replace(this.#good) };
    }
  }

  #replace(entries: readonly Entry[]): Promise<Applied> {
    return this.#backend.replace({ ...this.#table, services: new Map(entries) });
  }
}
