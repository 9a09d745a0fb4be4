/**
 * One address family's way from what is wanted to what the kernel has: which call of the back end a batch needs,
 * and what to do after a call failed.
 *
 * The families know nothing of each other: one that cannot be programmed does not stop the other. A service that
 * the kernel refuses does not stop the other services either: it is found (isolate.ts) and left out.
 *
 * @module
 */

import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { isTsnetError, messageOf } from "../../lib/errors.ts";
import type { Applied, Backend } from "../backend.ts";
import type { ServiceChange, Table } from "../table/types.ts";
import { Excluded } from "./excluded.ts";
import { isolate } from "./isolate.ts";

/** How a sync of one family went. */
export interface FamilyResult {
  readonly family: 4 | 6;
  /** `none`: there was nothing to do. `postponed`: it failed a moment ago, and its next try is not due yet. */
  readonly kind: "full" | "partial" | "none" | "failed" | "postponed";
  /** Elements or rules that were sent. */
  readonly written: number;
  /** Duration in ms. */
  readonly ms: number;
  /** Whether the whole table was to be put in place. */
  readonly whole: boolean;
  /** Services that the kernel refuses and that were left out: with why. */
  readonly refused: ReadonlyMap<string, string>;
}

export interface FamilySyncOptions {
  readonly backend: Backend;
  readonly log: Log;
  readonly clock: Clock;
  /** Ms: the longest time between two tries. */
  readonly syncPeriod: number;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
}

const FIRST_RETRY_MS = 100;
// With a change waiting, the next try is no further away.
const RETRY_OF_CHANGE_MS = 1000;
// From here on the first load takes a time that whoever waits for the API server notices.
const BIG = 1000;
const API_SERVER = "default/kubernetes";

export class FamilySync {
  readonly family: 4 | 6;
  readonly backend: Backend;
  /** Counts calls that write, so that who looked at the kernel meanwhile knows that it saw something in between. */
  generation = 0;
  readonly #options: FamilySyncOptions;
  readonly #excluded = new Excluded();
  /** Why the whole table has to be put in place; undefined: what was committed stands. */
  #whole: string | undefined = "start";
  #everCommitted = false;
  /** Services that changed since the last success. */
  readonly #suspects = new Set<string>();
  #sweepDue = false;
  #failures = 0;
  #failedAt = 0;
  #delay = 0;
  #changesWait = false;
  #writing = false;

  constructor(options: FamilySyncOptions) {
    this.#options = options;
    this.backend = options.backend;
    this.family = options.backend.family;
  }

  /** What was committed is not there any more: the next sync puts the whole table in place. */
  invalidate(reason: string): void {
    this.#whole = reason;
  }

  /** When to try again, in the clock's ms; undefined if nothing failed. */
  get retryAt(): number | undefined {
    if (this.#failures === 0) return undefined;
    // What somebody waits for is tried sooner than what only might have mended.
    return this.#failedAt + (this.#changesWait ? Math.min(this.#delay, RETRY_OF_CHANGE_MS) : this.#delay);
  }

  /** Whether all that was committed stands, as far as is known, and nothing is being written. */
  get settled(): boolean {
    return this.#whole === undefined && !this.#writing;
  }

  /** Services that the kernel refuses. */
  get refused(): ReadonlyMap<string, string> {
    return this.#excluded.reasons;
  }

  /** Lets the services that the kernel refused try again with the next sync; false if there are none. */
  forgive(): boolean {
    if (this.#excluded.reasons.size === 0) return false;
    for (const service of this.#excluded.reasons.keys()) this.#suspects.add(service);
    this.#excluded.clear();
    this.#whole ??= "refused services try again";
    return true;
  }

  /** Brings `changes`, or the whole of `table` where that is called for. Never throws. */
  async sync(table: Table, changes: ReadonlyMap<string, ServiceChange>, factsChanged: boolean): Promise<FamilyResult> {
    if (factsChanged) this.#whole ??= "facts changed";
    const whole = this.#whole;
    const start = this.#options.clock.now();
    const result = (kind: FamilyResult["kind"], written: number): FamilyResult => {
      const ms = this.#options.clock.now() - start;
      return { family: this.family, kind, whole: whole !== undefined, written, ms, refused: this.refused };
    };
    if (whole === undefined && changes.size === 0) return result("none", 0);
    for (const service of changes.keys()) this.#suspects.add(service);
    // A change of a service that the kernel refused is a new chance for it.
    const adjusted = this.#excluded.adjust(changes);
    if (changes.size > 0) this.#changesWait = true;
    if (this.retryAt !== undefined && start < this.retryAt) return result("postponed", 0);
    this.generation++;
    // Damage that is noticed from now on counts even if this goes through.
    this.#whole = undefined;
    this.#writing = true;
    try {
      const applied =
        whole === undefined
          ? await this.backend.update(this.#excluded.without(table), adjusted)
          : await this.#replace(table, whole);
      this.#succeeded(whole !== undefined);
      return result(whole === undefined ? "partial" : "full", applied.written);
    } catch (error) {
      this.#failed(error);
      return result("failed", 0);
    } finally {
      this.#writing = false;
    }
  }

  /** Removes what an earlier life left behind, once after each replace. Never throws. */
  async sweep(): Promise<void> {
    if (!this.#sweepDue || this.#whole !== undefined) return;
    this.#sweepDue = false;
    this.generation++;
    try {
      await this.backend.sweep();
    } catch (error) {
      this.#options.log.warn("cannot remove stale rules", { family: this.family, reason: messageOf(error) });
    }
  }

  get sweepDue(): boolean {
    return this.#sweepDue;
  }

  async #replace(table: Table, reason: string): Promise<Applied> {
    this.#options.log.debug(2, "putting the whole table in place", { family: this.family, reason });
    const wanted = this.#excluded.without(table);
    await this.#apiServerFirst(wanted);
    try {
      return await this.backend.replace(wanted);
    } catch (error) {
      // The second failure in a row, and not one that time or an administrator mends: some service is to blame.
      if (this.#failures === 0 || isTsnetError(error, "busy", "timeout", "permission", "not-found", "kernel-lacks")) {
        throw error;
      }
      return this.#replaceWithoutRefused(wanted, error);
    }
  }

  async #replaceWithoutRefused(wanted: Table, cause: unknown): Promise<Applied> {
    const found = await isolate(this.backend, wanted, this.#suspects, cause);
    for (const [service, reason] of found.refused) {
      this.#excluded.add(service, reason);
      this.#options.log.error("the kernel refuses a service: it is left out until it changes", {
        family: this.family,
        service,
        reason,
      });
    }
    return found.applied;
  }

  /** A new node reaches the API server before everything else is there. */
  async #apiServerFirst(table: Table): Promise<void> {
    const rules = table.services.get(API_SERVER);
    if (this.#everCommitted || rules === undefined || table.services.size < BIG) return;
    if (await this.backend.present()) return;
    await this.backend.replace({ ...table, services: new Map([[API_SERVER, rules]]) });
  }

  #succeeded(whole: boolean): void {
    if (this.#failures > 0) this.#options.log.info("programming works again", { family: this.family });
    this.#failures = 0;
    this.#changesWait = false;
    this.#suspects.clear();
    this.#everCommitted = true;
    if (whole) this.#sweepDue = true;
  }

  #failed(error: unknown): void {
    const { clock, random, syncPeriod, log } = this.#options;
    this.#failures++;
    this.#failedAt = clock.now();
    const delay = Math.min(FIRST_RETRY_MS * 2 ** (this.#failures - 1), syncPeriod);
    this.#delay = delay * (0.5 + random() / 2);
    this.#changesWait = false;
    this.#whole = "failure";
    log.error("cannot program rules: trying again", {
      family: this.family,
      inMs: Math.round(this.#delay),
      reason: messageOf(error),
      ...(isTsnetError(error) && error.details !== undefined ? { details: error.details } : {}),
    });
  }
}
