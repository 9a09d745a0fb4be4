/**
 * DHCP messages and their bytes: RFC 2131, section 2; options that are cut or that stand in other fields by RFC 3396
 * and RFC 2132, section 9.3.
 *
 * Written here, as no package does it: the codec of `dhcp` is an inner file without types, throws at what it does not
 * know, and reads neither options that are split nor those in other fields.
 *
 * @module
 */
import { type Address, addressBytes, addressFromBytes } from "../net/address.ts";
import { OPTION, type Options } from "./options.ts";

/** RFC 2132, section 9.6. */
export const MESSAGE = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7 } as const;

/** What a client says. */
export interface Outgoing {
  readonly type: number;
  /** The conversation's number, 32 bits. */
  readonly xid: number;
  /** Seconds since the client began. */
  readonly seconds: number;
  /** The answer shall be sent to everybody on the link. */
  readonly broadcast: boolean;
  /** The address that the client has and answers at. */
  readonly clientAddress?: Address;
  /** The client's link address, 6 bytes. */
  readonly mac: Uint8Array;
  /** Beside the type, in the order in which they are to be sent. */
  readonly options: Options;
}

/** What a server says. */
export interface Incoming {
  readonly type: number;
  readonly xid: number;
  /** The address that it gives. */
  readonly yourAddress: Address;
  readonly mac: Uint8Array;
  readonly options: Options;
}

const BOOTREQUEST = 1;
const BOOTREPLY = 2;
const ETHERNET = 1;
const BROADCAST_FLAG = 0x8000;
const COOKIE = 0x63825363;
const OPTIONS_AT = 240;
/** RFC 1542, section 2.1: relays may drop what is shorter. */
const MIN_BYTES = 300;

/** @throws RangeError never: an option of more than 255 bytes is cut into several, as RFC 3396 has it. */
export function encodeMessage(message: Outgoing): Uint8Array {
  const options = encodeOptions(new Map([[OPTION.messageType, Uint8Array.of(message.type)], ...message.options]));
  const bytes = Buffer.alloc(Math.max(MIN_BYTES, OPTIONS_AT + options.length));
  bytes.set([BOOTREQUEST, ETHERNET, message.mac.length, 0], 0);
  bytes.writeUInt32BE(message.xid, 4);
  bytes.writeUInt16BE(Math.min(0xffff, message.seconds), 8);
  bytes.writeUInt16BE(message.broadcast ? BROADCAST_FLAG : 0, 10);
  if (message.clientAddress !== undefined) bytes.set(addressBytes(message.clientAddress), 12);
  bytes.set(message.mac, 28);
  bytes.writeUInt32BE(COOKIE, 236);
  bytes.set(options, OPTIONS_AT);
  return bytes;
}

/** A server's message; undefined for what is none. */
export function decodeMessage(bytes: Uint8Array): Incoming | undefined {
  if (bytes.length < OPTIONS_AT) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes[0] !== BOOTREPLY || bytes[1] !== ETHERNET || bytes[2] !== 6) return undefined;
  if (view.getUint32(236) !== COOKIE) return undefined;
  const options = decodeOptions(bytes);
  const type = options?.get(OPTION.messageType)?.[0];
  if (options === undefined || type === undefined) return undefined;
  return {
    type,
    xid: view.getUint32(4),
    yourAddress: addressFromBytes(bytes.subarray(16, 20)),
    mac: bytes.slice(28, 34),
    options,
  };
}

function encodeOptions(options: Options): Uint8Array {
  const parts: number[] = [];
  for (const [code, value] of options) {
    for (let at = 0; at === 0 || at < value.length; at += 255) {
      const part = value.subarray(at, at + 255);
      parts.push(code, part.length, ...part);
    }
  }
  return Uint8Array.from([...parts, OPTION.end]);
}

/** Those behind the cookie, then those that option 52 says stand in `file` and `sname`. Undefined if they are cut off. */
function decodeOptions(bytes: Uint8Array): Options | undefined {
  const options = new Map<number, Uint8Array>();
  if (!readField(bytes.subarray(OPTIONS_AT), options)) return undefined;
  const overload = options.get(OPTION.overload)?.[0] ?? 0;
  if ((overload & 1) !== 0 && !readField(bytes.subarray(108, 236), options)) return undefined;
  if ((overload & 2) !== 0 && !readField(bytes.subarray(44, 108), options)) return undefined;
  return options;
}

/** Parts of one option that stand apart belong together. */
function readField(field: Uint8Array, into: Map<number, Uint8Array>): boolean {
  for (let at = 0; at < field.length; ) {
    const code = field[at++];
    if (code === OPTION.pad || code === undefined) continue;
    if (code === OPTION.end) return true;
    const length = field[at++];
    if (length === undefined || at + length > field.length) return false;
    into.set(code, Buffer.concat([into.get(code) ?? new Uint8Array(), field.subarray(at, at + length)]));
    at += length;
  }
  // Not every server ends them.
  return true;
}
