/**
 * What was last logged of a kind, so that what stays as it is is said once.
 *
 * @module
 */

export class Sayings {
  readonly #said = new Map<string, string>();

  /** Runs `say` unless the same text was the last of its kind. */
  once(kind: string, text: string, say: () => void): void {
    if (this.#said.get(kind) === text) return;
    this.#said.set(kind, text);
    say();
  }

  /** It is over: the next time it is news again. */
  forget(kind: string): void {
    this.#said.delete(kind);
  }
}
