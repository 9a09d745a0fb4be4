import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatMac, parseMac } from "../../../lib/net/mac.ts";

describe("a MAC address", () => {
  it.each(["0A:58:0a:01:00:05", "0a-58-0a-01-00-05", "0a58.0a01.0005"])("%s is read in each of its forms", (text) => {
    expect(formatMac(parseMac(text))).toBe("0a:58:0a:01:00:05");
  });

  it.each([
    "",
    "0a:58:0a:01:00",
    "0a:58:0a:01:00:05:06",
    "0a:58-0a:01:00:05",
    "0a580a010005",
    "0g:58:0a:01:00:05",
    "0a:58:0a:01:00:5",
  ])("%j is refused", (text) => {
    expect(() => parseMac(text)).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  it("comes back from its text", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
        expect(parseMac(formatMac(bytes))).toEqual(bytes);
      }),
    );
  });
});
