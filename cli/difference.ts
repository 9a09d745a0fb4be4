/**
 * What changed from one text to another, line by line.
 *
 * @module
 */

/** Lines that went with `- ` before them, lines that came with `+ `, and the others with two spaces. */
export function differenceOf(before: string, after: string): string {
  const [old, now] = [linesOf(before), linesOf(after)];
  const common = commonLengths(old, now);
  const lines: string[] = [];
  for (let i = 0, j = 0; i < old.length || j < now.length; ) {
    const [gone, come] = [old[i], now[j]];
    if (gone !== undefined && gone === come) {
      lines.push(`  ${gone}`);
      i++;
      j++;
    } else if (gone !== undefined && (come === undefined || at(common, i + 1, j) >= at(common, i, j + 1))) {
      lines.push(`- ${gone}`);
      i++;
    } else {
      lines.push(`+ ${come}`);
      j++;
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** The length of the longest common subsequence of what is left from each place on. */
function commonLengths(old: readonly string[], now: readonly string[]): readonly (readonly number[])[] {
  const lengths = Array.from({ length: old.length + 1 }, () => new Array<number>(now.length + 1).fill(0));
  for (let i = old.length - 1; i >= 0; i--) {
    const row = lengths[i] ?? [];
    for (let j = now.length - 1; j >= 0; j--) {
      row[j] =
        old[i] === now[j] ? at(lengths, i + 1, j + 1) + 1 : Math.max(at(lengths, i + 1, j), at(lengths, i, j + 1));
    }
  }
  return lengths;
}

function at(lengths: readonly (readonly number[])[], i: number, j: number): number {
  return lengths[i]?.[j] ?? 0;
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").slice(0, -1);
}
