/**
 * The helper's work: after each change of the state all parts are brought in line with it, one sync at a time.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import type { ContainerRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import { RecordBook } from "./recordbook.ts";
import type { HelperPart, HelperView } from "./view.ts";

/** What a sync found. */
export interface SyncReport {
  readonly containers: number;
  readonly networks: number;
  /** What could not be served, each as a whole sentence. */
  readonly errors: readonly string[];
}

export interface ServiceOptions {
  readonly state: State;
  readonly parts: ReadonlyMap<string, HelperPart>;
  /** Those that are there: their command runs, or the owner of what `network connect` took in. */
  readonly living: (records: readonly ContainerRecord[]) => readonly ContainerRecord[];
  /** Writes one line to the log. */
  readonly say: (message: string) => void;
}

export class Service {
  readonly #options: ServiceOptions;
  #running: Promise<SyncReport> | undefined;
  #next: Promise<SyncReport> | undefined;
  #last: SyncReport = { containers: 0, networks: 0, errors: [] };
  #records: readonly ContainerRecord[] = [];
  #isEmpty = true;
  #work = 0;
  readonly #book: RecordBook;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#book = new RecordBook(options.state);
  }

  /** What the last sync found. */
  get last(): SyncReport {
    return this.#last;
  }

  /** How many syncs there were. */
  get work(): number {
    return this.#work;
  }

  /** All containers that the last sync knew of, running or not. */
  get records(): readonly ContainerRecord[] {
    return this.#records;
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

  /** Whether the last sync found nothing, and there is nothing now. */
  isIdle(): boolean {
    return this.#isEmpty && this.#options.state.isEmpty();
  }

  /** What there is to serve now. */
  look(): HelperView {
    const { state, living } = this.#options;
    this.#records = this.#book.containers();
    const networks = state.networksUp();
    this.#isEmpty = this.#records.length === 0 && networks.length === 0;
    const containers = living(this.#records);
    const alive = new Set(containers);
    const ended = this.#records.filter(
      (one) => one.network !== "foreign" && !alive.has(one) && one.phase === "running",
    );
    return { containers, ended, networks };
  }

  close(): void {
    for (const part of this.#options.parts.values()) part.close();
  }

  async #sync(): Promise<SyncReport> {
    const errors: string[] = [];
    this.#work++;
    let { containers, networks } = this.#last;
    try {
      const view = this.look();
      [containers, networks] = [view.containers.length, view.networks.length];
      for (const part of this.#options.parts.values()) {
        await part.sync(view).catch((error: unknown) => errors.push(messageOf(error)));
      }
    } catch (error) {
      errors.push(messageOf(error));
    }
    for (const error of errors) if (!this.#last.errors.includes(error)) this.#options.say(error);
    this.#last = { containers, networks, errors };
    return this.#last;
  }
}
