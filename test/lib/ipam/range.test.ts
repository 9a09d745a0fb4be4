import { describe, expect, it } from "vitest";
import {
  addressesAfter,
  buildRangeSets,
  formatRangeSet,
  type RangeSpec,
  rangeFor,
  sizeOf,
} from "../../../lib/ipam/range.ts";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";

interface Text {
  readonly subnet: string;
  readonly rangeStart?: string;
  readonly rangeEnd?: string;
  readonly gateway?: string;
}

function spec({ subnet, rangeStart, rangeEnd, gateway }: Text): RangeSpec {
  return {
    subnet: parseCidr(subnet),
    ...(rangeStart === undefined ? {} : { rangeStart: parseAddress(rangeStart) }),
    ...(rangeEnd === undefined ? {} : { rangeEnd: parseAddress(rangeEnd) }),
    ...(gateway === undefined ? {} : { gateway: parseAddress(gateway) }),
  };
}

const build = (...sets: readonly (readonly Text[])[]) => buildRangeSets(sets.map((set) => set.map(spec)));

describe("a range", () => {
  it("of IPv4 goes from the first address to the one before broadcast, the gateway being the first", () => {
    const [set = []] = build([{ subnet: "10.1.0.0/24" }]);
    expect(formatRangeSet(set)).toBe("10.1.0.1-10.1.0.254");
    expect(set.map(({ gateway }) => formatAddress(gateway))).toEqual(["10.1.0.1"]);
    expect(sizeOf(set)).toBe(254n);
  });

  it("of IPv6 goes to the last", () => {
    const [set = []] = build([{ subnet: "fd00::/120" }]);
    expect(formatRangeSet(set)).toBe("fd00::1-fd00::ff");
  });

  it("may be a part of its subnet, with a gateway anywhere", () => {
    const [set = []] = build([
      { subnet: "10.1.0.0/24", rangeStart: "10.1.0.20", rangeEnd: "10.1.0.30", gateway: "10.9.0.1" },
    ]);
    expect(formatRangeSet(set)).toBe("10.1.0.20-10.1.0.30");
    expect(rangeFor(set, parseAddress("10.1.0.20"))).toBeDefined();
    expect(rangeFor(set, parseAddress("10.1.0.31"))).toBeUndefined();
    expect(rangeFor(set, parseAddress("::1"))).toBeUndefined();
  });

  it.each<readonly [string, readonly (readonly Text[])[]]>([
    ["invalid range set 0: Network 10.1.0.0/31 too small to allocate from", [[{ subnet: "10.1.0.0/31" }]]],
    ["invalid range set 0: Network fd00::/127 too small to allocate from", [[{ subnet: "fd00::/127" }]]],
    [
      "invalid range set 0: Network has host bits set. For a subnet mask of length 24 the network address is 10.1.0.0",
      [[{ subnet: "10.1.0.5/24" }]],
    ],
    [
      "invalid range set 0: RangeStart 10.2.0.1 not in network 10.1.0.0/24",
      [[{ subnet: "10.1.0.0/24", rangeStart: "10.2.0.1" }]],
    ],
    [
      "invalid range set 1: RangeEnd 10.2.0.1 not in network 10.1.0.0/24",
      [[{ subnet: "10.3.0.0/24" }], [{ subnet: "10.1.0.0/24", rangeEnd: "10.2.0.1" }]],
    ],
    [
      "invalid range set 0: RangeStart 10.1.0.9 is above RangeEnd 10.1.0.5",
      [[{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.9", rangeEnd: "10.1.0.5" }]],
    ],
    ["invalid range set 0: empty range set", [[]]],
    ["invalid range set 0: mixed address families", [[{ subnet: "10.1.0.0/24" }, { subnet: "fd00::/64" }]]],
    [
      "invalid range set 0: subnets 10.1.0.1-10.1.0.254 and 10.1.0.200-10.1.0.210 overlap",
      [[{ subnet: "10.1.0.0/24" }, { subnet: "10.1.0.0/24", rangeStart: "10.1.0.200", rangeEnd: "10.1.0.210" }]],
    ],
    ["range set 0 overlaps with 1", [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.1.0.0/16" }]]],
  ])("is refused: %s", (message, sets) => {
    expect(() => build(...sets)).toThrow(expect.objectContaining({ code: "invalid", message }));
  });

  it("shares a subnet with another as long as they hold no address in common", () => {
    const parts = [
      { subnet: "10.1.0.0/24", rangeEnd: "10.1.0.9" },
      { subnet: "10.1.0.0/24", rangeStart: "10.1.0.10" },
    ];
    expect(build(...parts.map((part) => [part]))).toHaveLength(2);
    expect(build(parts)).toHaveLength(1);
  });
});

describe("the round of a set", () => {
  const [set = []] = build([
    { subnet: "10.1.0.0/24", rangeStart: "10.1.0.2", rangeEnd: "10.1.0.4" },
    { subnet: "10.2.0.0/24", rangeStart: "10.2.0.8", rangeEnd: "10.2.0.9" },
  ]);
  const from = (last?: string) =>
    [...addressesAfter(set, last === undefined ? undefined : parseAddress(last))].map(([address]) =>
      formatAddress(address),
    );

  it("begins with the first", () => {
    expect(from()).toEqual(["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.2.0.8", "10.2.0.9"]);
  });

  it("goes on after the last one given, over all ranges, to that one", () => {
    expect(from("10.1.0.3")).toEqual(["10.1.0.4", "10.2.0.8", "10.2.0.9", "10.1.0.2", "10.1.0.3"]);
    expect(from("10.2.0.9")).toEqual(["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.2.0.8", "10.2.0.9"]);
  });

  it("begins with the first if the last one is not of the set any more", () => {
    expect(from("10.9.0.1")).toEqual(from());
    expect(from("::1")).toEqual(from());
  });
});
