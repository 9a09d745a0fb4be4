import { expect, test } from "vitest";
import { Backoff, pause } from "../../../lib/daemon/backoff.ts";

const LIMITS = { firstMs: 200, maxMs: 30_000 };

test("waits double up to a limit, and begin anew after a success", () => {
  const backoff = new Backoff(LIMITS, () => 0.999_999);
  const waits = Array.from({ length: 10 }, () => Math.round(backoff.next()));
  expect(waits).toEqual([200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
  backoff.reset();
  expect(Math.round(backoff.next())).toBe(200);
});

test("no two nodes wait equally long, though never less than half", () => {
  const waits = [0, 0.5, 0.999].map((random) => Math.round(new Backoff(LIMITS, () => random).next()));
  expect(waits).toEqual([100, 150, 200]);
});

test("what the server asks for is the least, spread upwards", () => {
  expect(new Backoff(LIMITS, () => 0).next(7000)).toBe(7000);
  expect(new Backoff(LIMITS, () => 0.5).next(8000)).toBe(9000);
  expect(new Backoff(LIMITS, () => 0).next(1)).toBe(100);
});

test("a pause ends when it is aborted", async () => {
  const abort = new AbortController();
  const waiting = pause(60_000, abort.signal);
  abort.abort();
  await waiting;
  await pause(60_000, abort.signal);
});
