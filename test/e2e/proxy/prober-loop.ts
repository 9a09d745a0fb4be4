/**
 * What the prober's agent does while it waits: descriptors, timers, and work that is never done.
 *
 * @module
 */
import { Poller } from "./prober-sockets.ts";

export class Loop extends Poller {
  readonly #timers = new Set<{ readonly at: number; readonly fire: () => void }>();
  /** Called again and again, without any rest, as long as it is there. */
  busy: (() => void) | undefined;

  /** Calls `fire` in `ms`, unless the function that is returned is called before. */
  after(ms: number, fire: () => void): () => void {
    const timer = { at: performance.now() + ms, fire };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  run(): never {
    for (;;) {
      this.wait(this.#restMs());
      this.busy?.();
      const now = performance.now();
      for (const timer of [...this.#timers].filter(({ at }) => at <= now)) if (this.#timers.delete(timer)) timer.fire();
    }
  }

  #restMs(): number {
    if (this.busy !== undefined) return 0;
    let first = Number.POSITIVE_INFINITY;
    for (const { at } of this.#timers) first = Math.min(first, at);
    return first === Number.POSITIVE_INFINITY ? -1 : Math.max(0, Math.ceil(first - performance.now()));
  }
}
