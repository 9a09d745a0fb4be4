/**
 * Steps to take back when a set-up fails half-way.
 *
 * Set-up registers an undo after each step that changed something. On failure they run backwards, each one
 * tried whatever the others did, and what they could not undo is reported beside the first cause.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "./errors.ts";

type Step = { readonly what: string; readonly run: () => void | Promise<void> };

/** A list of undo steps, run in reverse order. */
export class Undo {
  readonly #steps: Step[] = [];

  /** Registers how to take back what was just done; `what` names it for the report. */
  add(what: string, run: () => void | Promise<void>): void {
    this.#steps.push({ what, run });
  }

  /**
   * Takes everything back and returns the error to throw: `cause` itself, or one that also says what was left
   * behind.
   */
  async unwind(cause: unknown): Promise<unknown> {
    const left: string[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step.run();
      } catch (error) {
        left.push(`${step.what}: ${messageOf(error)}`);
      }
    }
    if (left.length === 0) return cause;
    return new TsnetError(`${messageOf(cause)} (and could not undo: ${left.join("; ")})`, {
      code: isTsnetError(cause) ? cause.code : "io",
      op: "undo",
      cause,
    });
  }
}
