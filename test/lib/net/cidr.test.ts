import fc from "fast-check";
import IpCidr from "ip-cidr";
import { describe, expect, it } from "vitest";
import { type Address, formatAddress, parseAddress } from "../../../lib/net/address.ts";
import {
  type Cidr,
  contains,
  firstOf,
  formatCidr,
  lastOf,
  networkOf,
  overlaps,
  parseCidr,
  sameCidr,
} from "../../../lib/net/cidr.ts";

const ipv4 = fc
  .record({ value: fc.bigInt(0n, 2n ** 32n - 1n), prefix: fc.integer({ min: 0, max: 32 }) })
  .map(({ value, prefix }): Cidr => ({ address: { family: 4, value }, prefix }));
const ipv6 = fc
  .record({ value: fc.bigInt(2n ** 64n, 2n ** 128n - 1n), prefix: fc.integer({ min: 0, max: 128 }) })
  .map(({ value, prefix }): Cidr => ({ address: { family: 6, value }, prefix }));

describe("a CIDR", () => {
  it("keeps its host bits, and gives its network, first and last address", () => {
    const cidr = parseCidr("10.1.0.5/24");
    expect(formatCidr(cidr)).toBe("10.1.0.5/24");
    expect(formatCidr(networkOf(cidr))).toBe("10.1.0.0/24");
    expect(formatAddress(firstOf(cidr))).toBe("10.1.0.0");
    expect(formatAddress(lastOf(cidr))).toBe("10.1.0.255");
    expect(formatAddress(lastOf(parseCidr("fd00::/120")))).toBe("fd00::ff");
  });

  it("of an IPv4-mapped network is IPv4", () => {
    expect(formatCidr(parseCidr("::ffff:10.1.0.0/120"))).toBe("10.1.0.0/24");
    expect(() => parseCidr("::ffff:10.1.0.0/64")).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  it.each([
    "",
    "/",
    "10.1.0.5",
    "10.1.0.5/",
    "10.1.0.5/33",
    "10.1.0.5/024",
    "10.1.0.5/-1",
    "fd00::/129",
    "10.1.0.5/24/8",
    "x/24",
  ])("%j is refused", (text) => {
    expect(() => parseCidr(text)).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  it("contains what ip-cidr says it contains", () => {
    const pair = fc.oneof(
      fc.tuple(ipv4, ipv4),
      fc.tuple(ipv6, ipv6),
      ipv4.map((cidr) => [cidr, { ...cidr, address: lastOf(cidr) }] as const),
      ipv6.map((cidr) => [cidr, { ...cidr, address: firstOf(cidr) }] as const),
    );
    fc.assert(
      fc.property(pair, ([cidr, { address }]) => {
        expect(contains(cidr, address)).toBe(new IpCidr(formatCidr(networkOf(cidr))).contains(formatAddress(address)));
      }),
    );
  });

  it("never contains an address of the other family", () => {
    expect(contains(parseCidr("0.0.0.0/0"), parseAddress("::1"))).toBe(false);
    expect(overlaps(parseCidr("0.0.0.0/0"), parseCidr("::/0"))).toBe(false);
  });

  it("overlaps another exactly if one holds the other's first address", () => {
    fc.assert(
      fc.property(fc.oneof(fc.tuple(ipv4, ipv4), fc.tuple(ipv6, ipv6)), ([a, b]) => {
        const shared = contains(a, firstOf(b)) || contains(b, firstOf(a));
        expect(overlaps(a, b)).toBe(shared);
        expect(overlaps(b, a)).toBe(shared);
      }),
    );
  });

  it("comes back from its text", () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), (cidr) => {
        const mapped: Address = cidr.address;
        fc.pre(mapped.family === 4 || mapped.value >> 32n !== 0xffffn);
        expect(sameCidr(parseCidr(formatCidr(cidr)), cidr)).toBe(true);
      }),
    );
  });
});
