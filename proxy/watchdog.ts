/**
 * Notices that somebody took our rules away, and has them put back: a firewall that was restarted, `nft flush
 * ruleset` by hand.
 *
 * The kernel tells of every change of nf_tables and who made it; what others did is a reason to look, cheaply,
 * whether ours is still there. iptables-legacy tells nobody: there the look is repeated each second.
 *
 * @module
 */
import { messageOf } from "../lib/errors.ts";
import type { Log } from "./log.ts";
import type { Clock } from "./sync/clock.ts";
import type { FamilySync } from "./sync/family.ts";

/** Who changed nf_tables. */
export interface RulesEvent {
  /** As the machine numbers processes, which a container does otherwise. */
  readonly pid: number;
  /** First 15 bytes of the program's name. */
  readonly program: string;
}

/** Changes of nf_tables since the last call, without waiting. */
export interface RulesEvents {
  poll(): readonly RulesEvent[];
  close(): void;
}

export interface WatchdogOptions {
  readonly families: readonly FamilySync[];
  /** Undefined: changes are not told of, so the look is repeated. */
  readonly events: RulesEvents | undefined;
  /** What the kernel calls this process. */
  readonly ownName: string;
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

export class Watchdog {
  readonly #options: WatchdogOptions;
  #callOff: () => void = () => {};
  #stopped = false;
  /** When the first and the last foreign change was heard of since the last look. */
  #first: number | undefined;
  #last = 0;
  #suspect = "";

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
    const { clock, events, ownName } = this.#options;
    const foreign = (events?.poll() ?? []).filter(({ program }) => program !== ownName);
    const now = clock.now();
    const last = foreign.at(-1);
    if (last !== undefined) {
      this.#first ??= now;
      this.#last = now;
      this.#suspect = `${last.program} (pid ${last.pid})`;
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
      this.#options.log.warn("somebody took our rules away: putting them back", {
        family: family.family,
        ...(this.#suspect === "" ? {} : { suspect: this.#suspect }),
      });
      family.invalidate("taken away");
      this.#options.repaired(family.family);
      this.#options.request();
    }
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
