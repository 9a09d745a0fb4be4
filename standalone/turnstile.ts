/**
 * One at a time, where the rest goes on side by side.
 *
 * @module
 */

/** Lets callers pass one after the other. */
export class Turnstile {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when all that came before is done, well or not. */
  pass<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work, work);
    this.#last = mine;
    return mine;
  }
}
