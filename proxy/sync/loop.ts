/**
 * When to sync: the first change goes out at once, those that arrive while a sync runs or before `minSyncPeriod` is
 * over go out together in the next one, and what failed is tried again soon.
 *
 * One call of a back end at a time, so that a batch is never planned on a table that another is being written from.
 * Stale rules are removed when nothing else waits; audits look at the kernel beside all this (audit.ts).
 *
 * @module
 */

import type { Clock } from "../../lib/daemon/clock.ts";
import type { Pending } from "../state/pending.ts";
import type { FamilyResult, FamilySync } from "./family.ts";

export interface SyncLoopOptions {
  /** Whether all has arrived that has to be known before anything is written. */
  readonly ready: () => boolean;
  readonly take: () => Pending;
  readonly families: readonly FamilySync[];
  /** Ms between the end of a sync that wrote something and the start of the next one. */
  readonly minSyncPeriod: number;
  readonly clock: Clock;
  /** Called after each sync. */
  readonly synced: (pending: Pending, results: readonly FamilyResult[]) => void;
}

// A storm may leave no quiet moment to remove stale rules in.
const SYNCS_BEFORE_SWEEP = 10;

export class SyncLoop {
  readonly #options: SyncLoopOptions;
  #wanted = false;
  #stopped = false;
  #running: Promise<void> | undefined;
  #endedAt = Number.NEGATIVE_INFINITY;
  #callOff: () => void = () => {};
  #syncsSinceSweep = 0;
  #idle: (() => void)[] = [];

  constructor(options: SyncLoopOptions) {
    this.#options = options;
  }

  /** Something changed. */
  request(): void {
    this.#wanted = true;
    this.#plan();
  }

  /** Whether something changed that no sync has begun with. */
  get waiting(): boolean {
    return this.#wanted;
  }

  /** Resolves when all that was requested is in place and stale rules are gone. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#plan();
    });
  }

  /** Starts nothing any more, and waits for what runs. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#callOff();
    await this.#running;
  }

  #plan(): void {
    this.#callOff();
    if (this.#stopped || this.#running !== undefined || !this.#options.ready()) return;
    const due = this.#due();
    if (due === undefined) {
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    const { clock } = this.#options;
    this.#callOff = clock.after(Math.max(0, due - clock.now()), () => this.#start());
  }

  /** When the next thing is to be done, in the clock's ms. */
  #due(): number | undefined {
    const { families, minSyncPeriod } = this.#options;
    const wanted = this.#wanted ? [this.#endedAt + minSyncPeriod] : [];
    const retries = families.flatMap(({ retryAt }) => retryAt ?? []);
    const sweep = families.some(({ sweepDue }) => sweepDue) ? [this.#endedAt] : [];
    const times = [...wanted, ...retries, ...sweep];
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #start(): void {
    if (this.#stopped || this.#running !== undefined) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#plan();
    });
  }

  async #run(): Promise<void> {
    const { families } = this.#options;
    const waiting = this.#wanted || families.some(({ retryAt }) => retryAt !== undefined);
    if (waiting) await this.#sync();
    if (waiting && this.#wanted && ++this.#syncsSinceSweep < SYNCS_BEFORE_SWEEP) return;
    this.#syncsSinceSweep = 0;
    for (const family of families) if (!this.#stopped) await family.sweep();
  }

  async #sync(): Promise<void> {
    const { families, take, clock, synced } = this.#options;
    this.#wanted = false;
    const pending = take();
    const results: FamilyResult[] = [];
    for (const family of families) {
      const table = pending.tables.get(family.family);
      if (table === undefined || this.#stopped) continue;
      const changes = pending.changes.get(family.family) ?? new Map();
      results.push(await family.sync(table, changes, pending.factsChanged));
    }
    // What changed no rule, such as a slice whose Service is still to come, holds nothing up.
    if (results.some(({ kind }) => kind !== "none")) this.#endedAt = clock.now();
    synced(pending, results);
  }
}
