/**
 * Time that stands still until a test moves it.
 *
 * @module
 */
import type { Clock } from "../../../lib/daemon/clock.ts";

export interface FakeClock extends Clock {
  /** Moves time, and lets everything run that is due by then, each at its time. */
  pass(ms: number): Promise<void>;
}

export function fakeClock(): FakeClock {
  let now = 0;
  let alarms: { readonly at: number; readonly run: () => void }[] = [];
  const next = (until: number) => alarms.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
  return {
    now: () => now,
    wall: () => 1_000_000 + now,
    after(ms, run) {
      const alarm = { at: now + Math.max(0, ms), run };
      alarms.push(alarm);
      return () => {
        alarms = alarms.filter((other) => other !== alarm);
      };
    },
    async pass(ms) {
      const until = now + ms;
      for (let alarm = next(until); alarm !== undefined; alarm = next(until)) {
        const due = alarm;
        alarms = alarms.filter((other) => other !== due);
        now = due.at;
        due.run();
        await idle();
      }
      now = until;
      await idle();
    },
  };
}

/** Lets all that waits for nothing but its turn run. */
export async function idle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}
