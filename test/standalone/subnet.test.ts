import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Cidr, contains, formatCidr, networkOf, overlaps, parseCidr } from "../../lib/net/cidr.ts";
import { rangesIn, resolversIn } from "../../standalone/host/facts.ts";
import { chooseIpv6Subnet, chooseSubnet, conflictOf, type Taken } from "../../standalone/plan/subnet.ts";

const taken = (...texts: readonly string[]): readonly Taken[] =>
  texts.map((text) => ({ cidr: parseCidr(text), what: `route ${text}`, yields: false }));

const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"].map(parseCidr);
const isPrivate = (cidr: Cidr) => PRIVATE.some((wide) => wide.prefix <= cidr.prefix && contains(wide, cidr.address));

const anyCidr4 = fc
  .tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 8, max: 32 }))
  .map(([value, prefix]): Cidr => networkOf({ address: { family: 4, value: BigInt(value) }, prefix }));
/** Mostly where they are in the way. */
const nearCidr4 = fc
  .tuple(
    fc.constantFrom(...PRIVATE.slice(0, 3)),
    fc.integer({ min: 0, max: 0xffffff }),
    fc.integer({ min: 12, max: 30 }),
  )
  .map(([within, low, prefix]): Cidr => {
    const value = within.address.value | (BigInt(low) & ((1n << BigInt(32 - within.prefix)) - 1n));
    return networkOf({ address: { family: 4, value }, prefix: Math.max(prefix, within.prefix) });
  });
const anyTaken = (cidr: fc.Arbitrary<Cidr>) =>
  fc.array(fc.record({ cidr, what: fc.constant("route"), yields: fc.boolean() }), { maxLength: 30 });

describe("containers row 11: a chosen subnet", () => {
  test("is the first of Docker's pools that is free", () => {
    expect(formatCidr(chooseSubnet([]))).toBe("172.17.0.0/16");
    expect(formatCidr(chooseSubnet(taken("172.17.0.0/16", "172.18.3.0/24")))).toBe("172.19.0.0/16");
    expect(formatCidr(chooseSubnet(taken("172.16.0.0/12")))).toBe("192.168.0.0/20");
    expect(formatCidr(chooseSubnet(taken("172.16.0.0/12", "192.168.0.0/16")))).toBe("10.0.0.0/16");
    expect(() => chooseSubnet(taken("172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"))).toThrow(
      /no private IPv4 subnet is free/,
    );
  });

  test("is private and overlaps with nothing that is taken", () => {
    fc.assert(
      fc.property(anyTaken(fc.oneof(anyCidr4, nearCidr4)), (there) => {
        let chosen: Cidr;
        try {
          chosen = chooseSubnet(there);
        } catch {
          return;
        }
        expect(isPrivate(chosen)).toBe(true);
        expect(there.filter(({ cidr }) => cidr.prefix > 1 && overlaps(cidr, chosen))).toEqual([]);
        expect(conflictOf(chosen, there)).toBeUndefined();
      }),
    );
  });

  test("of IPv6 is private, a /64, the same for the same network, and overlaps with nothing that is taken", () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }), (seed, before) => {
        // The first choices of the same seed are what is most in the way.
        const there: Taken[] = [];
        for (const _ of before) there.push({ cidr: chooseIpv6Subnet(seed, there), what: "network", yields: false });
        const chosen = chooseIpv6Subnet(seed, there);
        expect(chosen.prefix).toBe(64);
        expect(isPrivate(chosen)).toBe(true);
        expect(there.filter(({ cidr }) => overlaps(cidr, chosen))).toEqual([]);
        expect(chooseIpv6Subnet(seed, there)).toEqual(chosen);
      }),
    );
  });

  test("is in nobody's way by a default route, also one of two halves", () => {
    expect(formatCidr(chooseSubnet(taken("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1")))).toBe("172.17.0.0/16");
  });
});

describe("a subnet that the file names", () => {
  const conflict = (subnet: string, there: readonly Taken[]) => conflictOf(parseCidr(subnet), there)?.what;

  test("is in conflict with what the host has", () => {
    expect(conflict("10.1.0.0/24", taken("10.1.0.0/24"))).toBe("route 10.1.0.0/24");
    expect(conflict("10.1.0.0/16", taken("10.1.7.0/24"))).toBe("route 10.1.7.0/24");
    expect(conflict("10.1.0.0/24", taken("10.0.0.0/8"))).toBe("route 10.0.0.0/8");
    expect(conflict("10.1.0.0/24", taken("10.2.0.0/24", "0.0.0.0/0"))).toBeUndefined();
    expect(conflict("fd00::/64", taken("fd00::/64", "10.1.0.0/24"))).toBe("route fd00::/64");
  });

  test("may be part of what is only routed by way of a gateway", () => {
    const routed = [{ cidr: parseCidr("10.0.0.0/8"), what: "route", yields: true }];
    expect(conflict("10.1.0.0/24", routed)).toBeUndefined();
    expect(conflict("10.0.0.0/8", routed)).toBe("route");
  });
});

describe("what else a subnet must not have", () => {
  test("resolvers of a resolv.conf", () => {
    const text =
      "# nameserver 10.0.0.1\nnameserver 10.0.0.2\n nameserver fd00::53 # here\nnameserver fe80::1%eth0\nsearch x\n";
    expect(resolversIn(text).map(({ cidr }) => formatCidr(cidr))).toEqual([
      "10.0.0.2/32",
      "fd00::53/128",
      "fe80::1/128",
    ]);
  });

  test("ranges of other networks' configs, wherever they stand in them", () => {
    const list = {
      plugins: [
        { ipam: { type: "host-local", subnet: "10.1.0.0/16" } },
        { IPAM: { ranges: [[{ Subnet: "10.2.0.5/24" }], [{ subnet: "fd00::/64" }]] } },
        { ipam: { type: "static", addresses: [{ address: "10.3.0.7/24" }] } },
        { subnet: "none", address: 7 },
      ],
    };
    const found = rangesIn(JSON.stringify(list), "/etc/cni/net.d/10-x.conflist");
    expect(found.map(({ cidr }) => formatCidr(cidr))).toEqual([
      "10.1.0.0/16",
      "10.2.0.0/24",
      "fd00::/64",
      "10.3.0.0/24",
    ]);
    expect(found[0]?.what).toBe("10.1.0.0/16 of /etc/cni/net.d/10-x.conflist");
    expect(rangesIn("no json", "x")).toEqual([]);
  });
});
