/**
 * The state's containers, of which only those are read anew that have changed: a helper that is asked after each of
 * hundreds would else read all of them each time.
 *
 * @module
 */
import { stampOf } from "../../lib/sys/watch.ts";
import type { ContainerRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";

interface Page {
  readonly stamp: string | undefined;
  readonly record: ContainerRecord | undefined;
}

export class RecordBook {
  readonly #state: State;
  #pages: ReadonlyMap<string, Page> = new Map();

  constructor(state: State) {
    this.#state = state;
  }

  /** All that there are now; how they ended is not among it. */
  containers(): readonly ContainerRecord[] {
    this.#pages = new Map(this.#state.containerNames().map((name) => [name, this.#page(name)]));
    return [...this.#pages.values()].flatMap(({ record }) => record ?? []);
  }

  #page(name: string): Page {
    // Before it is read: if it is replaced in between, the next time it is read again.
    const stamp = stampOf(this.#state.recordOf(name));
    const there = this.#pages.get(name);
    return there !== undefined && there.stamp === stamp ? there : { stamp, record: this.#state.containerIfThere(name) };
  }
}
