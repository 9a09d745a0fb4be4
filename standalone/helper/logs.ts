/**
 * What containers write, kept: the helper has the pipes of all of them, and moves what comes to their logs.
 *
 * A timer and not the runtime's streams, which would cost an object and a buffer for each pipe: one call tells which
 * of hundreds have something. Each of those has its turn with as much as a pipe holds, so that one that floods keeps
 * neither the others nor the helper's other duties waiting; it is the one that waits, since its pipe is full.
 *
 * @module
 */
import { joinErrors } from "../../lib/errors.ts";
import { type LogWriter, openLogWriter } from "../../lib/sys/cappedlog.ts";
import { Epoll } from "../../lib/sys/epoll.ts";
import { logOf, outputOf } from "../container/output.ts";
import type { ContainerRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import { keyOf } from "./exits.ts";

/** Milliseconds to the next look after one that found something. */
const SHORTEST = 1;
/** Milliseconds to the next look where nothing has come for a while. */
const LONGEST = 32;

export class Logs {
  readonly #state: Pick<State, "folderOf">;
  /** By process; undefined for one that writes elsewhere, or nothing more. */
  readonly #logs = new Map<string, LogWriter | undefined>();
  readonly #keys = new Map<number, string>();
  readonly #epoll = new Epoll();
  #pause = SHORTEST;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(state: Pick<State, "folderOf">) {
    this.#state = state;
  }

  /** Reads what just these containers write. @throws TsnetError for those whose output cannot be read. */
  follow(records: readonly ContainerRecord[]): void {
    const started = records.filter(({ process }) => process !== undefined);
    const wanted = new Map(started.map((record) => [keyOf(record), record]));
    for (const [key, log] of this.#logs) {
      if (wanted.has(key)) continue;
      log?.drain();
      this.#close(key);
      this.#logs.delete(key);
    }
    const errors: unknown[] = [];
    for (const [key, { name }] of wanted) {
      try {
        if (!this.#logs.has(key)) this.#open(key, this.#state.folderOf(name));
      } catch (error) {
        errors.push(error);
      }
    }
    this.#look();
    if (errors.length > 0) throw joinErrors("read output", errors);
  }

  /** All that the container has written is in its log when this returns. */
  complete(container: Pick<ContainerRecord, "name" | "process">): void {
    const key = keyOf(container);
    if (this.#logs.get(key)?.drain() === "ended") this.#close(key);
  }

  close(): void {
    for (const key of this.#logs.keys()) this.#close(key);
    clearTimeout(this.#timer);
    this.#epoll.close();
  }

  #open(key: string, folder: string): void {
    const log = openLogWriter(logOf(folder), outputOf(folder));
    this.#logs.set(key, log);
    if (log === undefined) return;
    this.#keys.set(log.pipe, key);
    this.#epoll.add(log.pipe);
    // The end of one that was over before is told by this alone.
    if (log.move() === "ended") this.#close(key);
  }

  #close(key: string): void {
    const log = this.#logs.get(key);
    if (log === undefined) return;
    this.#logs.set(key, undefined);
    this.#keys.delete(log.pipe);
    this.#epoll.remove(log.pipe);
    log.close();
  }

  /** Looks now, and again as long as there is anybody who may write. */
  #look(): void {
    clearTimeout(this.#timer);
    const ready = this.#epoll.ready();
    for (const pipe of ready) {
      const key = this.#keys.get(pipe);
      if (key !== undefined && this.#logs.get(key)?.move() === "ended") this.#close(key);
    }
    this.#pause = ready.length > 0 ? SHORTEST : Math.min(2 * this.#pause, LONGEST);
    if (this.#keys.size > 0) this.#timer = setTimeout(() => this.#look(), this.#pause);
  }
}
