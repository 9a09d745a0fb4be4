/**
 * How long to wait before the next try.
 *
 * Jittered, since a thousand nodes lose the same server at the same moment and would come back at the same moment.
 *
 * @module
 */

export interface BackoffLimits {
  /** ms: about the first wait, and about the longest. */
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Doubles from failure to failure. */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: () => number;
  #failures = 0;

  /** @param random from 0 to below 1. */
  constructor(limits: BackoffLimits, random: () => number = Math.random) {
    this.#limits = limits;
    this.#random = random;
  }

  /** ms to wait after one more failure: never less than what the server asked for. */
  next(retryAfterMs = 0): number {
    const { firstMs, maxMs } = this.#limits;
    const base = Math.min(maxMs, firstMs * 2 ** this.#failures);
    this.#failures++;
    // From half of it to the whole; what the server asked for is the same for all, so that is spread upwards.
    return Math.max(base * (0.5 + this.#random() / 2), retryAfterMs * (1 + this.#random() / 4));
  }

  /** It worked. */
  reset(): void {
    this.#failures = 0;
  }
}

/** Waits, or less if `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
