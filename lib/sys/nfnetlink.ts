/**
 * Messages to netfilter over netlink (linux/netfilter/nfnetlink.h): a few calls for which starting `nft` or
 * `conntrack` costs many times the work. Written by hand, as a plugin pays for every codec that it loads.
 *
 * Sockets are synchronous: when `send` returns the kernel has done the work and its answers are in the queue.
 *
 * @module
 */
import type { Netns } from "./netns.ts";
import { NfSocket } from "./nfsocket.ts";
import { type NfHeader, NfWriter } from "./nfwriter.ts";

export { NF_HEADER_BYTES } from "./nfwriter.ts";

const NLA_F_NESTED = 0x8000;

/** `NLM_F_ACK` and its like for {@link NfHeader.flags}; linux/netlink.h. */
export const NLM_F_ACK = 4;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

/** A message whose attributes are made already. */
export interface NfMessage extends NfHeader {
  readonly attributes: readonly Buffer[];
}

/** What the kernel answers to a message: an errno name if it refused it. */
export interface NfAnswer {
  readonly sequence: number;
  readonly errno: string | undefined;
  /** Where in the message the attribute is that the kernel means, in bytes from its start. */
  readonly offset: number | undefined;
}

// Long enough for the kernel to free what was deleted.
const CLOSE_AFTER_MS = 100;

/**
 * Sends messages as one datagram and returns the kernel's answers: an ACK for each that asked for one, and errors.
 * In `netns`, or in the namespace that the process is in.
 *
 * The socket is closed a moment later, or when the process ends: the kernel closes no netfilter socket of a
 * namespace before it has freed what nf_tables deleted there last, 10 ms in which the caller may do something else.
 *
 * @throws TsnetError if the kernel does not take the datagram at all.
 */
export function talkToNetfilter(messages: readonly NfMessage[], netns?: Netns): readonly NfAnswer[] {
  const writer = new NfWriter();
  for (const message of messages) {
    writer.begin(message);
    for (const bytes of message.attributes) writer.raw(bytes);
    writer.end();
  }
  const last = messages.findLast(({ flags }) => (flags & NLM_F_ACK) !== 0)?.sequence;
  return talkOnce(writer.written(), last, netns);
}

/** {@link talkToNetfilter} with what an {@link NfWriter} wrote; `last` is the number of the last that is answered. */
export function talkOnce(written: Uint8Array, last: number | undefined, netns?: Netns): readonly NfAnswer[] {
  const socket = new NfSocket(netns);
  try {
    return socket.talk(written, last);
  } finally {
    setTimeout(() => socket.close(), CLOSE_AFTER_MS).unref();
  }
}

/** An attribute, padded to four bytes. */
export function attribute(type: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc((4 + body.length + 3) & ~3);
  bytes.writeUInt16LE(4 + body.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(body, 4);
  return bytes;
}

/** An attribute that holds others. */
export function nested(type: number, attributes: readonly Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

/** A text with its closing zero. */
export function zeroTerminated(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

/** 16 bits in network order, as ports are. */
export function bytes16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
