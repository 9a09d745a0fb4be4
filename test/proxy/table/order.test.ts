import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stableOrder } from "../../../proxy/table/order.ts";
import type { Endpoint } from "../../../proxy/table/types.ts";

function endpoints(names: string): readonly Endpoint[] {
  return [...names].map((address) => ({ address, port: 80, local: false }));
}

function order(before: string, wanted: string): string {
  return stableOrder(endpoints(before), endpoints(wanted))
    .map(({ address }) => address)
    .join("");
}

describe("the order of endpoints", () => {
  it.each([
    ["", "abc", "abc"],
    ["abc", "", ""],
    ["cab", "abc", "cab"],
    ["abc", "abcd", "abcd"],
    ["abcd", "acd", "adc"],
    ["abcd", "abc", "abc"],
    ["abcd", "cd", "dc"],
    ["abcd", "xacd", "axcd"],
    ["abcd", "xybd", "xbyd"],
    ["abcd", "wxyz", "wxyz"],
    ["abcde", "xe", "xe"],
  ])("of %j, of which %j is wanted, becomes %j", (before, wanted, after) => {
    expect(order(before, wanted)).toBe(after);
  });

  it("keeps the lists that it was given where they will do", () => {
    const before = endpoints("ab");
    const wanted = endpoints("ab");
    expect(stableOrder(before, wanted)).toBe(before);
    expect(stableOrder([], wanted)).toBe(wanted);
  });

  it("sees an endpoint that changed sides as changed", () => {
    const moved = [{ address: "a", port: 80, local: true }];
    expect(stableOrder(endpoints("a"), moved)).toEqual(moved);
  });

  it("holds what is wanted, once each, and moves no more than it has to", () => {
    const names = fc.uniqueArray(fc.constantFrom(..."abcdefghij"));
    fc.assert(
      fc.property(names, names, (before, wanted) => {
        const after = [...order(before.join(""), wanted.join(""))];
        expect([...after].sort()).toEqual([...wanted].sort());
        // Nobody who stays and whose place is still there moves, but the last ones, into places of those who went.
        const moved = before.filter((name, i) => wanted.includes(name) && i < after.length && after[i] !== name);
        expect(moved).toEqual([]);
      }),
    );
  });
});
