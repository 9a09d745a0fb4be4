import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeDatagram, encodeDatagram } from "../../../lib/dhcp/datagram.ts";
import { decodeMessage, encodeMessage, type Incoming, MESSAGE, type Outgoing } from "../../../lib/dhcp/message.ts";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { formatMac, parseMac } from "../../../lib/net/mac.ts";
import { ACK, DISCOVER, OFFER, SELECT } from "./captured.ts";

const text = (value: string) => Buffer.from(value);

/** What udhcpc says with each of its requests, in its order. */
const UDHCPC = [
  [57, Buffer.from("0240", "hex")],
  [55, Buffer.from("0103060c0f1a1c212a7779", "hex")],
  [60, text("udhcp 1.35.0")],
  [61, Buffer.from("01020000000002", "hex")],
] as const;

function heard(datagram: Buffer): Incoming {
  const payload = decodeDatagram(datagram)?.payload ?? new Uint8Array();
  const message = decodeMessage(payload);
  if (message === undefined) throw new Error("no DHCP message");
  return message;
}

function said(type: number, options: Outgoing["options"], seconds = 0): Uint8Array {
  const message = {
    type,
    xid: xidOf(DISCOVER),
    seconds,
    broadcast: false,
    mac: parseMac("02:00:00:00:00:02"),
    options,
  };
  const [from, to] = [parseAddress("0.0.0.0"), parseAddress("255.255.255.255")];
  return encodeDatagram({ from, to, fromPort: 68, toPort: 67, payload: encodeMessage(message) });
}

/** Chosen at random by who began. */
const xidOf = (datagram: Buffer) => datagram.readUInt32BE(28 + 4);

describe("what a client sends", () => {
  it("is, byte for byte with its checksums, what udhcpc sends for the same: DISCOVER", () => {
    expect(Buffer.from(said(MESSAGE.discover, new Map(UDHCPC))).toString("hex")).toBe(DISCOVER.toString("hex"));
  });

  it("and REQUEST", () => {
    const [wanted, server] = [
      SELECT.subarray(28 + 240 + 5, 28 + 240 + 9),
      SELECT.subarray(28 + 240 + 11, 28 + 240 + 15),
    ];
    const options = new Map([[50, wanted] as const, [54, server] as const, ...UDHCPC]);
    expect(Buffer.from(said(MESSAGE.request, options)).toString("hex")).toBe(SELECT.toString("hex"));
  });

  it("says the seconds at most as often as they fit, asks for broadcast, and cuts an option that is too long", () => {
    const long = Buffer.alloc(300, "x");
    const mac = parseMac("02:00:00:00:00:02");
    const bytes = Buffer.from(
      encodeMessage({ type: 1, xid: 1, seconds: 70_000, broadcast: true, mac, options: new Map([[77, long]]) }),
    );
    expect(bytes.readUInt16BE(8)).toBe(0xffff);
    expect(bytes.readUInt16BE(10)).toBe(0x8000);
    const cut = bytes.subarray(243);
    expect([cut[0], cut[1], cut[257], cut[258], cut[304]]).toEqual([77, 255, 77, 45, 255]);
  });
});

describe("what dnsmasq sends", () => {
  it.each([
    ["OFFER", OFFER, MESSAGE.offer],
    ["ACK", ACK, MESSAGE.ack],
  ])("is read: %s", (_, datagram, type) => {
    const message = heard(datagram);
    expect(message.type).toBe(type);
    expect(message.xid).toBe(xidOf(DISCOVER));
    expect(formatAddress(message.yourAddress)).toMatch(/^10\.50\.0\.\d+$/);
    expect(formatMac(message.mac)).toBe("02:00:00:00:00:02");
    expect([...message.options.keys()]).toEqual([53, 54, 51, 58, 59, 1, 28, 3, 26, 33, 121, 119, 15, 6]);
    expect(message.options.get(51)).toEqual(Buffer.from("00000078", "hex"));
  });

  it("is read with its UDP checksum left to hardware that is not there", () => {
    const sum = OFFER.subarray(26, 28).toString("hex");
    expect(decodeDatagram(OFFER)).toMatchObject({ fromPort: 67, toPort: 68 });
    // The sum over the header of addresses alone, which the kernel leaves on a veth.
    expect(sum).toBe(ACK.subarray(26, 28).toString("hex"));
  });
});

describe("a message", () => {
  const reply = (...options: readonly number[]) => {
    const bytes = Buffer.alloc(240 + options.length);
    bytes.set([2, 1, 6], 0);
    bytes.writeUInt32BE(0x63825363, 236);
    bytes.set(options, 240);
    return bytes;
  };

  it("whose options stand in file and sname, too, is read whole, in this order, and parts of one option are joined", () => {
    const bytes = reply(53, 1, 5, 52, 1, 3, 119, 2, 1, 2, 255);
    bytes.set([119, 1, 3, 12, 1, 65, 255], 108);
    bytes.set([119, 1, 4, 255], 44);
    const options = decodeMessage(bytes)?.options;
    expect(options?.get(119)).toEqual(Buffer.of(1, 2, 3, 4));
    expect(options?.get(12)).toEqual(Buffer.of(65));
  });

  it("without an end is one, and with an option that is cut off none", () => {
    expect(decodeMessage(reply(53, 1, 5, 0, 0))?.type).toBe(5);
    expect(decodeMessage(reply(53, 1, 5, 12, 9, 1))).toBeUndefined();
    expect(decodeMessage(reply(53, 1, 5, 12))).toBeUndefined();
    expect(decodeMessage(reply(1, 4, 255, 255, 255, 0, 255))).toBeUndefined();
  });

  it("of another kind is none: a request, another cookie, another hardware", () => {
    for (const [at, value] of [
      [0, 1],
      [1, 6],
      [2, 8],
      [236, 0],
    ] as const) {
      const bytes = reply(53, 1, 5, 255);
      bytes[at] = value;
      expect(decodeMessage(bytes)).toBeUndefined();
    }
  });

  it("may hold anything", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const bytes = reply(...noise);
        const message = decodeMessage(bytes);
        expect(message === undefined || message.options.size > 0).toBe(true);
        decodeDatagram(Buffer.from(noise));
      }),
    );
  });
});

describe("a datagram", () => {
  const whole = encodeDatagram({
    from: parseAddress("10.0.0.1"),
    to: parseAddress("10.0.0.2"),
    fromPort: 67,
    toPort: 68,
    payload: text("hello"),
  });

  it("is read behind an IP header with options, and without the padding of a short frame", () => {
    const longer = Buffer.concat([whole.subarray(0, 20), Buffer.alloc(4), whole.subarray(20), Buffer.alloc(10)]);
    longer[0] = 0x46;
    expect(Buffer.from(decodeDatagram(longer)?.payload ?? []).toString()).toBe("hello");
  });

  it.each([
    ["a fragment", 6, 0x20],
    ["TCP", 9, 6],
    ["IPv6", 0, 0x65],
    ["longer than its frame", 25, 200],
  ])("that is %s is none", (_, at, value) => {
    const other = Buffer.from(whole);
    other[at] = value;
    expect(decodeDatagram(other)).toBeUndefined();
  });
});
