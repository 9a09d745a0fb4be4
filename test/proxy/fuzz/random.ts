/** Random choices that a seed decides: mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1);
  }

  /** From 0 up to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From 0 to n - 1. */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  of<T>(list: readonly T[]): T {
    const [picked] = list.slice(this.below(list.length));
    if (list.length === 0) throw new Error("nothing to choose from");
    return picked as T;
  }

  /** Up to `most` of a list, in its order, each at most once. */
  some<T>(list: readonly T[], most: number): readonly T[] {
    const count = this.below(Math.min(most, list.length) + 1);
    const left = [...list];
    while (left.length > count) left.splice(this.below(left.length), 1);
    return left;
  }

  shuffled<T>(list: readonly T[]): readonly T[] {
    const from = [...list];
    return Array.from(list, () => from.splice(this.below(from.length), 1)).flat();
  }
}
