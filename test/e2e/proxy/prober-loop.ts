/**
 * What the prober's agent does while it waits: descriptors, timers, and work that is never done.
 *
 * @module
 */
import { Poller } from "./prober-sockets.ts";

/** More at once and the kernel's own queues between two namespaces overflow: what is sent but once would be lost. */
const AT_ONCE = 200;

export class Loop extends Poller {
  #running = 0;
  #port = Math.floor(Math.random() * 60_000);
  readonly #queue: ((release: () => void) => void)[] = [];
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

  /** Calls `work` once fewer than a few hundred are at work; each tells when it is over. */
  inTurn(work: (release: () => void) => void): void {
    this.#queue.push(work);
    this.#admit();
  }

  #admit(): void {
    while (this.#running < AT_ONCE) {
      const work = this.#queue.shift();
      if (work === undefined) return;
      this.#running++;
      work(() => {
        this.#running--;
        // Not from within: a thousand that are over at once would be a thousand frames deep.
        this.after(0, () => this.#admit());
      });
    }
  }

  /** A number that nobody else has at the time, from 1024 to 61023. */
  nextPort(): number {
    this.#port = (this.#port + 1) % 60_000;
    return 1024 + this.#port;
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
