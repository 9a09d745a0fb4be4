/**
 * Durations as Go writes them: `1m30s`, `500ms`, `0s`. Ours are numbers of ms.
 *
 * @module
 */

const MS_OF = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** In ms; undefined if it is none. Go's forms (time.ParseDuration): also `1.5h`, `-3s` and a bare `0`. */
export function parseDuration(text: string): number | undefined {
  const [, sign = "", digits = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (digits === "0") return 0;
  let total = 0;
  let at = 0;
  while (at < digits.length) {
    PART.lastIndex = at;
    const [part = "", count = "", unit = ""] = PART.exec(digits) ?? [];
    if (!isUnit(unit)) return undefined;
    total += Number(count) * MS_OF[unit];
    at += part.length;
  }
  if (digits === "") return undefined;
  return sign === "-" && total !== 0 ? -total : total;
}

/** As Go prints it: `24h0m0s`, `1m30s`, `1.5s`, `500ms`, `0s`. */
export function formatDuration(ms: number): string {
  const size = Math.abs(ms);
  const sign = ms < 0 ? "-" : "";
  if (size === 0) return "0s";
  if (size < 1e-3) return `${sign}${trimmed(size * 1e6, 0)}ns`;
  if (size < 1) return `${sign}${trimmed(size * 1e3, 3)}µs`;
  if (size < 1000) return `${sign}${trimmed(size, 6)}ms`;
  const minutes = Math.floor(size / 60_000);
  const seconds = `${trimmed((size - minutes * 60_000) / 1000, 9)}s`;
  if (minutes === 0) return sign + seconds;
  const hours = Math.floor(minutes / 60);
  return `${sign}${hours > 0 ? `${hours}h` : ""}${minutes % 60}m${seconds}`;
}

function isUnit(text: string): text is keyof typeof MS_OF {
  return Object.hasOwn(MS_OF, text);
}

function trimmed(value: number, places: number): string {
  return String(Number(value.toFixed(places)));
}
