/**
 * Time as the loop sees it, so that tests can move it by hand.
 *
 * @module
 */

export interface Clock {
  /** Ms that only ever grow, for spans of time. */
  now(): number;
  /** Ms since 1970, for what others read. */
  wall(): number;
  /** Calls `run` once, `ms` from now, or as soon as what is under way has ended if that is 0; returns how to call it off. */
  after(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, run) {
    if (ms <= 0) {
      const immediate = setImmediate(run);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
