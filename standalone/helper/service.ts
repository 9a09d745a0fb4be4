/**
 * The helper's work: after each change of the state all parts are brought in line with it, one sync at a time.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import { isRunning } from "../container/stop.ts";
import type { ContainerRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import type { HelperPart, HelperView } from "./view.ts";

/** What a sync found. */
export interface SyncReport {
  readonly containers: number;
  readonly networks: number;
  /** What could not be served, each as a whole sentence. */
  readonly errors: readonly string[];
}

export class Service {
  readonly #state: State;
  readonly #parts: ReadonlyMap<string, HelperPart>;
  #running: Promise<SyncReport> | undefined;
  #next: Promise<SyncReport> | undefined;
  #last: SyncReport = { containers: 0, networks: 0, errors: [] };

  constructor(state: State, parts: ReadonlyMap<string, HelperPart>) {
    this.#state = state;
    this.#parts = parts;
  }

  /** What the last sync found. */
  get last(): SyncReport {
    return this.#last;
  }

  /**
   * Serves what the state tells of. Whoever calls while a sync goes on gets the one after it, together with all others
   * who do.
   */
  sync(): Promise<SyncReport> {
    if (this.#running === undefined) {
      this.#running = this.#sync().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.sync();
    });
    return this.#next;
  }

  /** Whether the state tells of nothing any more. */
  isIdle(): boolean {
    return this.#state.containers().length === 0 && this.#state.networksUp().length === 0;
  }

  close(): void {
    for (const part of this.#parts.values()) part.close();
  }

  async #sync(): Promise<SyncReport> {
    const errors: string[] = [];
    try {
      const view = this.#look();
      for (const part of this.#parts.values()) {
        await part.sync(view).catch((error: unknown) => errors.push(messageOf(error)));
      }
      this.#last = { containers: view.containers.length, networks: view.networks.length, errors };
    } catch (error) {
      this.#last = { ...this.#last, errors: [...errors, messageOf(error)] };
    }
    return this.#last;
  }

  #look(): HelperView {
    return { containers: this.#state.containers().filter(isServed), networks: this.#state.networksUp() };
  }
}

function isServed(record: ContainerRecord): boolean {
  return isRunning(record) || (record.network === "foreign" && record.process === undefined);
}
