import { expect, test } from "vitest";
import { evenness } from "./chisquare.ts";

test("the chance that an even draw is as uneven", () => {
  expect(evenness([50, 50])).toBe(1);
  // As tables of the chi-square distribution have it, for 1, 2 and 99 degrees of freedom.
  expect(evenness([60, 40])).toBeCloseTo(0.0455, 4);
  expect(evenness([100, 100, 130])).toBeCloseTo(Math.exp(-60 / 11 / 2), 6);
  expect(evenness([...Array(50).fill(110), ...Array(50).fill(90)])).toBeCloseTo(0.4529, 3);
});
