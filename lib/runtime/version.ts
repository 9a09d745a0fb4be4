/**
 * Comparing versions of the CNI specification, where only the order counts: a runtime may meet one that none of
 * our plugins speaks.
 *
 * @module
 */

/** Whether `value` is a version: one to three numbers with dots between. */
export function isVersion(value: unknown): value is string {
  return typeof value === "string" && /^\d+(\.\d+){0,2}$/.test(value);
}

/** Whether `version` is `least` or later; an empty one counts as 0.1.0. */
export function atLeast(version: string, least: string): boolean {
  const ours = numbersOf(version);
  const theirs = numbersOf(least);
  for (const [at, number] of theirs.entries()) {
    const difference = (ours[at] ?? 0) - number;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function numbersOf(version: string): readonly number[] {
  const numbers = (version === "" ? "0.1.0" : version).split(".").map(Number);
  return [0, 1, 2].map((at) => numbers[at] ?? 0);
}
