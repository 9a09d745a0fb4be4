/**
 * Notices that somebody took our rules away, and has them put back: a firewall that was restarted, `nft flush
 * ruleset` by hand.
 *
 * The kernel tells of every change of nf_tables and who made it; what others did is a reason to look, cheaply,
 * whether ours is still there. iptables-legacy tells nobody: there the look is repeated each second.
 *
 * @module
 */

import type { Clock } from "../lib/daemon/clock.ts";
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import type { FamilySync } from "./sync/family.ts";

/** Who changed nf_tables. */
export interface RulesEvent {
  /** As the machine numbers processes, which a container does otherwise. */
  readonly pid: number;
  /** First 15 bytes of the program's name. */
  readonly program: string;
}

export interface RulesEvents {
  /** As whom our own changes are told of. */
  readonly own: RulesEvent;
  /** Changes of nf_tables since the last call, without waiting. */
  poll(): readonly RulesEvent[];
  close(): void;
}

export interface WatchdogOptions {
  readonly families: readonly FamilySync[];
  /** Undefined: changes are not told of, so the look is repeated. */
  readonly events: RulesEvents | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Asks for a sync. */
  readonly request: () => void;
  readonly repaired: (family: 4 | 6) => void;
}

const POLL_MS = 250;
// A firewall that starts makes many changes in a row: the look is worth most after the last one.
const QUIET_MS = 200;
// But flushed rules are back within two seconds, however long somebody goes on.
const PATIENCE_MS = 800;
const CANARY_MS = 1000;
// Another proxy of ours would write its own again after each time: two of them shall not do nothing else.
const TRUCE_MS = 30_000;

export class Watchdog {
  readonly #options: WatchdogOptions;
  #callOff: () => void = () => {};
  #stopped = false;
  /** When the first and the last foreign change was heard of since the last look. */
  #first: number | undefined;
  #last = 0;
  #suspect: RulesEvent | undefined;
  readonly #truceEnds = new Map<number, number>();

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  start(): void {
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#callOff();
    this.#options.events?.close();
  }

  #next(): void {
    if (this.#stopped) return;
    const { clock, events } = this.#options;
    this.#callOff = clock.after(events === undefined ? CANARY_MS : POLL_MS, () => {
      void this.#tick().then(() => this.#next());
    });
  }

  async #tick(): Promise<void> {
    if (this.#options.events === undefined || this.#heard()) await this.#look();
  }

  /** Whether it is time for a look. */
  #heard(): boolean {
    const { clock, events } = this.#options;
    const foreign = (events?.poll() ?? []).filter(({ pid }) => pid !== events?.own.pid);
    const now = clock.now();
    const last = foreign.at(-1);
    if (last !== undefined) {
      // Until the next look the other proxy stays the suspect, whoever else changes something.
      if (this.#first === undefined || !this.#isRival) {
        this.#suspect = foreign.find(({ program }) => program === events?.own.program) ?? last;
      }
      this.#expect(now);
    }
    if (this.#first === undefined) return false;
    if (now - this.#last < QUIET_MS && now - this.#first < PATIENCE_MS) return false;
    this.#first = undefined;
    return true;
  }

  async #look(): Promise<void> {
    for (const family of this.#options.families) {
      // While it is being written, or waits to be, nothing can be told; what is written then is whole.
      if (!family.settled || (await this.#intact(family))) continue;
      if (await this.#isTruce(family)) continue;
      this.#tell(family);
      family.invalidate("taken away");
      this.#options.repaired(family.family);
      this.#options.request();
    }
  }

  /** A look is due when it is quiet, or after a while. */
  #expect(now: number): void {
    this.#first ??= now;
    this.#last = now;
  }

  /** Whether another proxy of ours may have its rules for now. Where there are none it may not. */
  async #isTruce({ family, backend }: FamilySync): Promise<boolean> {
    const { clock } = this.#options;
    const now = clock.now();
    if (!this.#isRival || now >= (this.#truceEnds.get(family) ?? 0) || !(await backend.present())) return false;
    this.#expect(now);
    return true;
  }

  get #isRival(): boolean {
    return this.#suspect !== undefined && this.#suspect.program === this.#options.events?.own.program;
  }

  #tell({ family }: FamilySync): void {
    const { clock, log } = this.#options;
    const suspect = this.#suspect && `${this.#suspect.program} (pid ${this.#suspect.pid})`;
    const fields = { family, ...(suspect && { suspect }) };
    if (this.#isRival) {
      this.#truceEnds.set(family, clock.now() + TRUCE_MS);
      log.warn("another proxy of ours changes the same rules: putting them back. One a node is enough", fields);
    } else log.warn("somebody took our rules away: putting them back", fields);
  }

  async #intact(family: FamilySync): Promise<boolean> {
    const { generation } = family;
    try {
      // What was written meanwhile may be why something is not as it was a moment ago: the next look tells.
      return (await family.backend.intact()) || family.generation !== generation;
    } catch (error) {
      this.#options.log.warn("cannot tell whether the rules are intact", {
        family: family.family,
        reason: messageOf(error),
      });
      return true;
    }
  }
}
