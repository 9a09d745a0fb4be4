/**
 * Rows of a bench: medians, ratios and targets, printed as a table for people or as JSON.
 *
 * Every bench prints through this file, so that all of them read alike and all of them fail alike.
 *
 * @module
 */

/** One comparison. Without a target it is there for information. */
export interface Row {
  readonly name: string;
  readonly unit: "ms" | "µs" | "MB";
  /** Median of ours; null if the row does not count because a check failed. */
  readonly ours: number | null;
  /** Median of the peer; null if there is none that can do it. */
  readonly peer: number | null;
  /** Ours over the peer's. */
  readonly ratio: number | null;
  /** The highest ratio that passes. */
  readonly target: number | null;
}

/** What was measured, in milliseconds. */
export interface Series {
  readonly ours: number[];
  readonly peer: number[];
}

/** The row of the medians of both series. */
export function rowOf(name: string, { ours, peer }: Series, target?: number): Row {
  const [a, b] = [median(ours), median(peer)];
  return {
    name,
    unit: "ms",
    ours: rounded(a, 2),
    peer: rounded(b, 2),
    ratio: a === null || b === null ? null : rounded(a / b, 3),
    target: target ?? null,
  };
}

/** The middle value, or the mean of the two in the middle; null of nothing. */
export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const high = sorted[sorted.length >> 1];
  const low = sorted[(sorted.length - 1) >> 1];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}

/** Whether a row keeps its target. One that was not measured does not; one without a target does. */
export function passes({ ratio, target }: Row): boolean {
  return target === null || (ratio !== null && ratio <= target);
}

/** A table with a line a row, numbers to the right. */
export function formatTable(rows: readonly Row[]): string {
  const head = ["", "ours", "peer", "ratio", "target", ""];
  const lines = [head, ...rows.map(cellsOf)];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) => line.map((cell, column) => pad(cell, column, widths[column] ?? 0)).join("  ")).join("\n");
}

function cellsOf(row: Row): readonly string[] {
  const time = (ms: number | null) => (ms === null ? "-" : `${ms.toFixed(1)} ${row.unit}`);
  const ratio = (value: number | null) => (value === null ? "-" : value.toFixed(value < 0.1 ? 3 : 2));
  const verdict = row.target === null ? "" : passes(row) ? "ok" : "MISSED";
  return [row.name, time(row.ours), time(row.peer), ratio(row.ratio), ratio(row.target), verdict];
}

function pad(cell: string, column: number, width: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}

function rounded(value: number | null, digits: number): number | null {
  return value === null ? null : Number(value.toFixed(digits));
}
