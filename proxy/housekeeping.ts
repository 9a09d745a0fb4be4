/**
 * Keeps the process as large as what it knows: the runtime collects garbage late where a machine has much memory,
 * and messages to the kernel and from the API server are garbage that its own count hardly sees.
 *
 * @module
 */
import type { Clock } from "../lib/daemon/clock.ts";

export interface HousekeeperOptions {
  readonly clock: Clock;
  /** Resident memory in bytes. */
  readonly resident: () => number;
  readonly collect: () => void;
}

/** Ms from work to the collection of what it left; twice as long after each that was hardly worth it. */
const SHORTEST_MS = 2000;
const LONGEST_MS = 60_000;
/** A collection that gives back so many bytes was worth it. */
const WORTH_BYTES = 2e6;

export class Housekeeper {
  readonly #options: HousekeeperOptions;
  #period = SHORTEST_MS;
  #callOff: (() => void) | undefined;

  constructor(options: HousekeeperOptions) {
    this.#options = options;
  }

  /** Something was done that may have left garbage. */
  worked(): void {
    this.#callOff ??= this.#options.clock.after(this.#period, () => {
      this.#callOff = undefined;
      this.#collect();
    });
  }

  stop(): void {
    this.#callOff?.();
  }

  #collect(): void {
    const { resident, collect } = this.#options;
    const before = resident();
    collect();
    const worth = before - resident() >= WORTH_BYTES;
    this.#period = worth ? SHORTEST_MS : Math.min(this.#period * 2, LONGEST_MS);
  }
}
