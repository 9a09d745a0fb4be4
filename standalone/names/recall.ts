/**
 * Answers that were given a moment ago, to the same question byte for byte: programs ask for few names again and
 * again, and reading and writing messages is most of what an answer takes.
 *
 * @module
 */

/** Questions that are remembered; with one more all are forgotten. */
const MOST = 256;
/** The number of a question, which alone differs from one time to the next. */
const ID_BYTES = 2;

/** What one container was answered; good for one zone. */
export class Recall {
  readonly #answers = new Map<string, Buffer>();

  /** The answer with this question's number; the same buffer is used the next time. */
  find(query: Buffer): Buffer | undefined {
    const answer = this.#answers.get(keyOf(query));
    if (answer === undefined) return undefined;
    answer[0] = query[0] ?? 0;
    answer[1] = query[1] ?? 0;
    return answer;
  }

  keep(query: Buffer, answer: Buffer): void {
    if (this.#answers.size >= MOST) this.#answers.clear();
    this.#answers.set(keyOf(query), Buffer.from(answer));
  }

  clear(): void {
    this.#answers.clear();
  }
}

function keyOf(query: Buffer): string {
  return query.toString("latin1", ID_BYTES);
}
