import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../../lib/daemon/duration.ts";

describe("durations", () => {
  test.each([
    ["0s", 0],
    ["30s", 30_000],
    ["1m30s", 90_000],
    ["24h0m0s", 86_400_000],
    ["15m0s", 900_000],
    ["1.5s", 1500],
    ["500ms", 500],
    ["1.5ms", 1.5],
    ["250µs", 0.25],
    ["1h0m0.5s", 3_600_500],
    ["-3s", -3000],
  ])("%s is %d ms, and is printed so", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
    expect(formatDuration(ms)).toBe(text);
  });

  test.each([
    ["0", 0],
    ["1.5h", 5_400_000],
    ["90s", 90_000],
    ["+1m", 60_000],
    [".5s", 500],
    ["100us", 0.1],
    ["1h1h", 7_200_000],
    ["-0s", 0],
  ])("%s is read, too", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(["", "5", "s", "1 s", "1d", "1m30", "--1s", "1,5s", "1e3s", "s1"])("%j is none", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});
