/**
 * One object for many that are equal. A cluster repeats itself: its 200,000 endpoints know a handful of zones, and most
 * of its services have the same port.
 *
 * @module
 */

/** More distinct values than this are no repetition, and to keep them all would be a leak. */
const LIMIT = 4096;

export class Pool<T> {
  readonly #known = new Map<string, T>();

  /** The value known by `key`, `value` if there is none yet. */
  of(key: string, value: T): T {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= LIMIT) this.#known.clear();
    this.#known.set(key, value);
    return value;
  }
}
