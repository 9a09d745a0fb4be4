/**
 * Tear-down goes on past errors and tells them all.
 *
 * @module
 */
import { joinErrors } from "../errors.ts";

/** Steps of which each is tried, whatever became of the others. */
export class Attempts {
  readonly #op: string;
  readonly #errors: unknown[] = [];

  /** `op` is what the steps are together, such as `DEL bridge`. */
  constructor(op: string) {
    this.#op = op;
  }

  /** Does `work` and keeps its error for {@link Attempts.finish}. Synchronous work is done when this returns. */
  async try(work: () => Promise<unknown> | unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#errors.push(error);
    }
  }

  /** @throws Error what failed: the one error, or a TsnetError that tells them all and has the first one's code. */
  finish(): void {
    if (this.#errors.length > 0) throw joinErrors(this.#op, this.#errors);
  }
}
