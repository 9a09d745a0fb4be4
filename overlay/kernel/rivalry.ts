/**
 * Notices that somebody takes back what we put right, again and again: most likely an agent that was to be replaced
 * and still runs.
 *
 * @module
 */
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";

// A person's trials and a restarting network manager stay below.
const TIMES = 10;
const WITHIN_MS = 10_000;
const SILENCE_MS = 10 * 60_000;

export class Rivalry {
  readonly #log: Log;
  readonly #clock: Clock;
  #times: readonly number[] = [];
  #said: number | undefined;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Damage was repaired; `object` is some of it. */
  repaired(object: string): void {
    const now = this.#clock.now();
    this.#times = [...this.#times.filter((time) => now - time < WITHIN_MS), now];
    if (this.#times.length < TIMES || (this.#said !== undefined && now - this.#said < SILENCE_MS)) return;
    this.#said = now;
    this.#log.warn(
      "somebody keeps changing what the overlay holds in the kernel: stop whatever else sets up this network, such as flanneld",
      { object, times: this.#times.length, seconds: WITHIN_MS / 1000 },
    );
  }
}
