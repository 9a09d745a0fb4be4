/**
 * Whether counts look like an even draw.
 *
 * @module
 */

/** The probability that an even draw over as many places as `counts` is as uneven as this, or more. */
export function evenness(counts: readonly number[]): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const statistic = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  return 1 - lowerGamma((counts.length - 1) / 2, statistic / 2);
}

/** The regularized lower incomplete gamma function by its series; `a` is a multiple of a half. */
function lowerGamma(a: number, x: number): number {
  let term = Math.exp(a * Math.log(x) - x - logGamma(a + 1));
  let sum = term;
  for (let n = 1; term > sum * Number.EPSILON; n++) {
    term *= x / (a + n);
    sum += term;
  }
  return sum;
}

function logGamma(a: number): number {
  if (a === 1) return 0;
  if (a === 0.5) return Math.log(Math.PI) / 2;
  return Math.log(a - 1) + logGamma(a - 1);
}
