import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressBytes, addressFromBytes, formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { NfWriter } from "../../../lib/sys/nfwriter.ts";

/** What `write` leaves in a buffer that is not empty and not zeroed. */
function written(write: (writer: NfWriter) => void): Buffer {
  const writer = new NfWriter(8);
  for (let i = 0; i < 40; i++) writer.u8(0xff);
  writer.truncate(4);
  write(writer);
  return Buffer.from(writer.written().subarray(4));
}

describe("addresses are written as they are parsed", () => {
  test("IPv4", () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(written((writer) => writer.ipv4(text))).toEqual(Buffer.from(addressBytes(parseAddress(text))));
      }),
    );
  });

  const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  });
  test("IPv6 in canonical text", () => {
    fc.assert(
      fc.property(groups, (all) => {
        const bytes = Buffer.alloc(16);
        for (const [index, group] of all.entries()) bytes.writeUInt16BE(group, index * 2);
        const address = addressFromBytes(bytes);
        fc.pre(address.family === 6);
        expect(written((writer) => writer.ipv6(formatAddress(address)))).toEqual(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test.each(["::", "::1", "1::", "fd00::1:0:0:1", "1:2:3:4:5:6:7:8"])("%s", (text) => {
    expect(written((writer) => writer.ipv6(text))).toEqual(Buffer.from(addressBytes(parseAddress(text))));
  });
});

test("a buffer that is too small grows, in the middle of anything", () => {
  const writer = new NfWriter(4);
  writer.begin({ type: 1, flags: 0, sequence: 7, family: 2 });
  const outer = writer.nest(3);
  for (let i = 0; i < 100; i++) writer.attributeU32(1, i);
  writer.attributeText(2, "grün");
  writer.close(outer);
  writer.end();
  const bytes = writer.written();
  expect(bytes.readUInt32LE(0)).toBe(bytes.length);
  expect(bytes.readUInt16LE(20)).toBe(bytes.length - 20);
  expect(bytes.readUInt32BE(24 + 8 * 99 + 4)).toBe(99);
  expect(bytes.subarray(-12).toString("utf8", 4, 9)).toBe("grün");
});
