/**
 * Keeps the process as large as what it knows: the runtime collects garbage late where a machine has much memory,
 * and messages to the kernel and from the API server are garbage that its own count hardly sees.
 *
 * @module
 */
import type { Clock } from "./sync/clock.ts";

export interface HousekeeperOptions {
  readonly clock: Clock;
  /** Resident memory in bytes. */
  readonly resident: () => number;
  readonly collect: () => void;
}

/** Ms between two looks. */
const PERIOD_MS = 2000;
/** Growth since the last collection that is worth another one: this share, and this much. */
const GROWTH = 1.04;
const LEAST_BYTES = 3e6;

export class Housekeeper {
  readonly #options: HousekeeperOptions;
  #kept = 0;
  #callOff: (() => void) | undefined;

  constructor(options: HousekeeperOptions) {
    this.#options = options;
  }

  /** Something was done that may have left garbage. */
  worked(): void {
    this.#callOff ??= this.#options.clock.after(PERIOD_MS, () => {
      this.#callOff = undefined;
      this.#look();
    });
  }

  stop(): void {
    this.#callOff?.();
  }

  #look(): void {
    const { resident, collect } = this.#options;
    const now = resident();
    if (now < this.#kept * GROWTH || now - this.#kept < LEAST_BYTES) return;
    collect();
    this.#kept = resident();
  }
}
