/**
 * Notices what others do to the kernel: by its events within a moment, and by a comparison with all that shall be from
 * time to time, which proves that no event was missed.
 *
 * The events are asked for, not waited for: a system call that finds nothing takes a microsecond or two, and nothing
 * has to be handed between threads.
 *
 * @module
 */
import type { Clock } from "../lib/daemon/clock.ts";
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import type { Fabric, FabricReport } from "./kernel/fabric.ts";
import type { Protection } from "./protection.ts";

export interface LookoutOptions {
  readonly fabric: Pick<Fabric, "poll" | "compare">;
  readonly protection: Pick<Protection, "disturbed" | "repair">;
  readonly clock: Clock;
  readonly log: Log;
  /** Ms between two comparisons. */
  readonly comparePeriod: number;
  readonly repaired: (report: FabricReport) => void;
  readonly rulesRepaired: () => void;
  /** Links, addresses or routes have changed by which the underlay is chosen. */
  readonly underlayChanged: () => void;
  /** A comparison has ended; ms that it took. */
  readonly compared: (ms: number) => void;
}

const POLL_MS = 50;
// Whoever sets up a link or a firewall makes many changes in a row: the look is worth most after the last one, but is
// not put off for ever.
const QUIET_MS = 100;
const PATIENCE_MS = 500;

export class Lookout {
  readonly #options: LookoutOptions;
  readonly #underlay: Settling;
  readonly #rules: Settling;
  #callOff: (() => void)[] = [];
  #stopped = false;
  /** What was last logged, so that a failure that stays is said once. */
  #said = "";

  constructor(options: LookoutOptions) {
    this.#options = options;
    this.#underlay = new Settling(options.clock, () => this.#guarded(options.underlayChanged));
    this.#rules = new Settling(options.clock, () => void this.#repairRules());
  }

  start(): void {
    this.#poll();
    this.#comparePeriodically();
  }

  stop(): void {
    this.#stopped = true;
    for (const callOff of this.#callOff) callOff();
  }

  #poll(): void {
    if (this.#stopped) return;
    this.#guarded(() => {
      const { fabric, protection, repaired } = this.#options;
      const report = fabric.poll();
      if (report.repairs.length > 0 || report.failures.size > 0) repaired(report);
      if (report.underlayChanged) this.#underlay.disturb();
      if (protection.disturbed()) this.#rules.disturb();
      this.#underlay.tick();
      this.#rules.tick();
    });
    this.#callOff[0] = this.#options.clock.after(POLL_MS, () => this.#poll());
  }

  #comparePeriodically(): void {
    const { clock, fabric, comparePeriod, repaired, compared } = this.#options;
    this.#callOff[1] = clock.after(comparePeriod, () => {
      if (this.#stopped) return;
      this.#guarded(() => {
        const begun = clock.now();
        repaired(fabric.compare());
        this.#options.underlayChanged();
        compared(clock.now() - begun);
      });
      void this.#repairRules().then(() => this.#comparePeriodically());
    });
  }

  async #repairRules(): Promise<void> {
    const { protection, rulesRepaired, log } = this.#options;
    try {
      if (!this.#stopped && (await protection.repair())) rulesRepaired();
    } catch (error) {
      log.error("the packet filter's rules cannot be put back yet", { reason: messageOf(error) });
    }
  }

  /** A failing look ends no looking. */
  #guarded(look: () => void): void {
    try {
      look();
      this.#said = "";
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== this.#said) this.#options.log.error("cannot compare with the kernel", { reason });
      this.#said = reason;
    }
  }
}

/** Runs `act` once the disturbances have ended for a moment, or go on for too long. */
class Settling {
  readonly #clock: Clock;
  readonly #act: () => void;
  #first: number | undefined;
  #last = 0;

  constructor(clock: Clock, act: () => void) {
    this.#clock = clock;
    this.#act = act;
  }

  disturb(): void {
    this.#last = this.#clock.now();
    this.#first ??= this.#last;
  }

  tick(): void {
    const now = this.#clock.now();
    if (this.#first === undefined || (now - this.#last < QUIET_MS && now - this.#first < PATIENCE_MS)) return;
    this.#first = undefined;
    this.#act();
  }
}
