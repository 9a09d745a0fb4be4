/**
 * Work in numbers: many at once, at random, again the same by its seed.
 *
 * @module
 */

/** Does `work` with each of `all`, `width` at a time. */
export async function eachOf<T>(all: readonly T[], work: (each: T) => Promise<void>, width = 12): Promise<void> {
  const queue = [...all];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next);
    }),
  );
}

/** Mulberry32: numbers from 0 to 1 that a seed determines. */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
