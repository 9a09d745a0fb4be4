import fc from "fast-check";
import IpCidr from "ip-cidr";
import { describe, expect, it } from "vitest";
import { TsnetError } from "../../../lib/errors.ts";
import {
  type Address,
  addressBytes,
  addressFromBytes,
  compareAddress,
  formatAddress,
  parseAddress,
  sameAddress,
} from "../../../lib/net/address.ts";

const ipv4 = fc.bigInt(0n, 2n ** 32n - 1n).map((value): Address => ({ family: 4, value }));
const ipv6 = fc
  .oneof(
    fc.bigInt(0n, 2n ** 128n - 1n),
    // Runs of zeros, which chance does not bring.
    fc
      .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
      .map((groups) => groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n)),
  )
  .filter((value) => value >> 32n !== 0xffffn)
  .map((value): Address => ({ family: 6, value }));

describe("an address", () => {
  it.each([
    ["10.1.0.5", "10.1.0.5"],
    ["0.0.0.0", "0.0.0.0"],
    ["::", "::"],
    ["::1", "::1"],
    ["FD00:0:0::5", "fd00::5"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
  ])("%s is printed as %s, canonically", (text, canonical) => {
    expect(formatAddress(parseAddress(text))).toBe(canonical);
  });

  it("that is IPv4-mapped IPv6 counts as IPv4", () => {
    expect(parseAddress("::ffff:10.1.0.5")).toEqual(parseAddress("10.1.0.5"));
    expect(parseAddress("::ffff:a01:5")).toEqual(parseAddress("10.1.0.5"));
  });

  it.each([
    "",
    " 10.1.0.5",
    "10.1.0",
    "10.1.0.256",
    "010.1.0.5",
    "10.1.0.5/24",
    "0x0a.1.0.5",
    ":",
    ":::",
    "1::2::3",
    "1:2:3",
    "1:2:3:4:5:6:7::8",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    "fe80::1%eth0",
    "::1.2.3.4:5",
    "1.2.3.4::",
    "::ffff:1.2.3",
    "g::",
  ])("%j is refused", (text) => {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  it("comes back from its text, and agrees with ip-cidr on what it is", () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), (address) => {
        const text = formatAddress(address);
        expect(parseAddress(text)).toEqual(address);
        expect(IpCidr.formatIP(IpCidr.createAddress(text), { type: "bigInteger" })).toBe(address.value);
      }),
    );
  });

  it("comes back from its bytes", () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), (address) => {
        const bytes = addressBytes(address);
        expect(bytes.length).toBe(address.family === 4 ? 4 : 16);
        expect(sameAddress(addressFromBytes(bytes), address)).toBe(true);
      }),
    );
    expect(() => addressFromBytes(new Uint8Array(5))).toThrow(TsnetError);
  });

  it("of any text is parsed or refused with a code", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.]{0,40}$/)), (text) => {
        try {
          formatAddress(parseAddress(text));
        } catch (error) {
          expect(error).toMatchObject({ name: "TsnetError", code: "invalid" });
        }
      }),
    );
  });

  it("sorts IPv4 before IPv6, then by number", () => {
    const texts = ["::1", "10.0.0.10", "10.0.0.9", "::"].map(parseAddress).sort(compareAddress).map(formatAddress);
    expect(texts).toEqual(["10.0.0.9", "10.0.0.10", "::", "::1"]);
  });
});
