/**
 * How long to wait between tries, and waiting itself.
 *
 * @module
 */
import type { Clock } from "../daemon/clock.ts";

const QUICK_MS = 2000;
const QUICK_TRIES = 4;
const SLOW_MS = 4000;
const JITTER_MS = 1000;
/** A timer stands still while the host sleeps, and the clock may not: so it is looked at in between. */
const LONGEST_MS = 60_000;

/**
 * Ms to wait after each failure, for ever: four times about 2 s, then from about 4 s doubling up to `maxMs` and what
 * is over, as the reference's daemon does.
 */
export function* pauses(maxMs: number, random: () => number): Generator<number, never> {
  const jittered = (ms: number) => ms + JITTER_MS * (2 * random() - 1);
  for (let count = 0; count < QUICK_TRIES; count++) yield jittered(QUICK_MS);
  for (let ms = SLOW_MS; ; ms = ms < maxMs ? ms * 2 : ms) yield jittered(ms);
}

/** Waits until the clock shows `moment`, which may be Infinity. @throws the signal's reason once it is aborted. */
export async function sleepUntil(moment: number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const left = moment - clock.now();
    if (left <= 0) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        callOff();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const callOff = clock.after(Math.min(left, LONGEST_MS), end);
      signal.addEventListener("abort", end);
    });
  }
}
