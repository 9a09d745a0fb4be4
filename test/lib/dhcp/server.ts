/**
 * A DHCP server of the test's own behind a wire of the client's: it notes what it is asked and answers as it is told to.
 *
 * @module
 */
import { decodeDatagram, encodeDatagram } from "../../../lib/dhcp/datagram.ts";
import { MESSAGE } from "../../../lib/dhcp/message.ts";
import type { OpenWire } from "../../../lib/dhcp/question.ts";
import { TsnetError } from "../../../lib/errors.ts";
import { type Address, addressBytes, addressFromBytes, formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { formatMac, parseMac } from "../../../lib/net/mac.ts";

/** What came, read as a server does. */
export interface Request {
  readonly type: number;
  readonly from: string;
  readonly to: string;
  /** The link address that it was sent to. */
  readonly link: string;
  readonly seconds: number;
  readonly broadcast: boolean;
  readonly clientAddress: string;
  readonly options: ReadonlyMap<number, string>;
}

const NAMES: Readonly<Record<number, string>> = {
  [MESSAGE.discover]: "DISCOVER",
  [MESSAGE.request]: "REQUEST",
  [MESSAGE.release]: "RELEASE",
};

export class FakeServer {
  /** What the client sent, in order. */
  readonly requests: Request[] = [];
  address = "10.0.0.5";
  server = "10.0.0.1";
  mac = "02:00:00:00:00:01";
  /** Options of every answer beside type and server, in hexadecimal. */
  options: Readonly<Record<number, string>> = { 1: "ffffff00", 51: hex32(100) };
  /** How DISCOVER and REQUEST are answered. */
  discover: "offer" | "silence" = "offer";
  request: "ack" | "nak" | "ack those of its offers" | "silence" = "ack";
  /** The client's interface, and whether it takes what is sent. */
  link: "up" | "down" | "gone" = "up";
  /** Wires that are open. */
  wires = 0;

  readonly open: OpenWire = (received) => {
    if (this.link === "gone") throw new TsnetError("interface eth0 is gone", { code: "not-found" });
    this.wires++;
    let isOpen = true;
    return {
      send: (datagram, to) => {
        if (this.link === "down") throw new TsnetError("send: ENETDOWN", { code: "io", errno: "ENETDOWN" });
        const answer = this.#hear(Buffer.from(datagram), to);
        if (answer !== undefined) queueMicrotask(() => isOpen && received(answer, parseMac(this.mac)));
      },
      close: () => {
        if (!isOpen) throw new Error("closed twice");
        isOpen = false;
        this.wires--;
      },
    };
  };

  /** `DISCOVER`, or `REQUEST 10.0.0.1` for one that is not to everybody; since the last call. */
  said(): readonly string[] {
    return this.requests.splice(0).map(({ type, to }) => `${NAMES[type]}${to === "255.255.255.255" ? "" : ` ${to}`}`);
  }

  #hear(datagram: Buffer, link: Uint8Array): Buffer | undefined {
    const { from, to, payload } = decodeDatagram(datagram) ?? fail("no datagram");
    const message = Buffer.from(payload);
    const options = optionsIn(message.subarray(240));
    const type = Number.parseInt(options.get(53) ?? "", 16);
    this.requests.push({
      type,
      from: formatAddress(from),
      to: formatAddress(to),
      link: formatMac(link),
      seconds: message.readUInt16BE(8),
      broadcast: message.readUInt16BE(10) === 0x8000,
      clientAddress: formatAddress(addressFromBytes(message.subarray(12, 16))),
      options,
    });
    if (type === MESSAGE.discover && this.discover === "offer") return this.#answer(message, MESSAGE.offer);
    if (type !== MESSAGE.request || this.request === "silence") return undefined;
    if (this.request !== "ack those of its offers") return this.#answer(message, MESSAGE[this.request]);
    return options.has(54) ? this.#answer(message, MESSAGE.ack) : undefined;
  }

  #answer(request: Buffer, type: number): Buffer {
    const bytes = Buffer.from(request.subarray(0, 240));
    bytes[0] = 2;
    if (type !== MESSAGE.nak) bytes.set(addressBytes(parseAddress(this.address)), 16);
    const own = { 53: type.toString(16).padStart(2, "0"), 54: hexOf(parseAddress(this.server)) };
    const all =
      type === MESSAGE.nak ? { ...own, 56: Buffer.from("not here").toString("hex") } : { ...this.options, ...own };
    const options = Object.entries(all).map(([code, hex]) =>
      Buffer.concat([Uint8Array.of(Number(code), hex.length / 2), Buffer.from(hex, "hex")]),
    );
    const payload = Buffer.concat([bytes, ...options, Uint8Array.of(255)]);
    const [from, to] = [parseAddress(this.server), parseAddress("255.255.255.255")];
    return Buffer.from(encodeDatagram({ from, to, fromPort: 67, toPort: 68, payload }));
  }
}

/** Seconds as an option has them. */
export function hex32(value: number): string {
  return value.toString(16).padStart(8, "0");
}

function hexOf(address: Address): string {
  return Buffer.from(addressBytes(address)).toString("hex");
}

function optionsIn(bytes: Buffer): ReadonlyMap<number, string> {
  const options = new Map<number, string>();
  for (let at = 0; bytes[at] !== 255 && at < bytes.length; at += 2 + (bytes[at + 1] ?? 0)) {
    options.set(bytes[at] ?? 0, bytes.subarray(at + 2, at + 2 + (bytes[at + 1] ?? 0)).toString("hex"));
  }
  return options;
}

function fail(message: string): never {
  throw new Error(message);
}
