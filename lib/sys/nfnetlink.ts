/**
 * Messages to netfilter over netlink (linux/netfilter/nfnetlink.h): a few calls for which starting `nft` or
 * `conntrack` costs many times the work. Written by hand, as a plugin pays for every codec that it loads.
 *
 * Sockets are synchronous: when `send` returns the kernel has done the work and its answers are in the queue.
 *
 * @module
 */
import { hasErrno } from "../errors.ts";
import { errnoName } from "./libc.ts";
import { bindNetlink, closeFd, NETLINK_NETFILTER, openNetlink, receive, send, setSocketOption } from "./native.ts";
import { inside, type Netns } from "./netns.ts";

// linux/netlink.h, linux/socket.h
const NLM_F_REQUEST = 1;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSGERR_ATTR_OFFS = 2;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const SOL_NETLINK = 270;
const MSG_DONTWAIT = 0x40;
const NLA_F_NESTED = 0x8000;
/** Bytes before the attributes of a message: struct nlmsghdr and struct nfgenmsg. */
export const NF_HEADER_BYTES = 20;
const RECEIVE_BYTES = 64 * 1024;

/** `NLM_F_ACK` and its like for {@link NfMessage.flags}; linux/netlink.h. */
export const NLM_F_ACK = 4;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

export interface NfMessage {
  /** Subsystem << 8 | message, or one of the batch's own. */
  readonly type: number;
  /** `NLM_F_*` beside REQUEST. */
  readonly flags: number;
  readonly sequence: number;
  /** `NFPROTO_*`, linux/netfilter.h. */
  readonly family: number;
  /** `res_id`: the subsystem that a batch is for. */
  readonly resource?: number;
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
  const open = () => openNetlink(NETLINK_NETFILTER);
  const fd = netns === undefined ? open() : inside(netns, open);
  try {
    bindNetlink(fd, 0);
    // Errors without the message that they are about, but with the place in it.
    setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    send(fd, Buffer.concat(messages.map(encode)));
    return readAnswers(fd, messages.findLast(({ flags }) => (flags & NLM_F_ACK) !== 0)?.sequence);
  } finally {
    setTimeout(() => closeFd(fd), CLOSE_AFTER_MS).unref();
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

/** 32 bits in network order. */
export function bytes32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** 64 bits in network order. */
export function bytes64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function encode({ type, flags, sequence, family, resource = 0, attributes }: NfMessage): Buffer {
  const header = Buffer.alloc(NF_HEADER_BYTES);
  const body = Buffer.concat([header, ...attributes]);
  body.writeUInt32LE(body.length, 0);
  body.writeUInt16LE(type, 4);
  body.writeUInt16LE(NLM_F_REQUEST | flags, 6);
  body.writeUInt32LE(sequence, 8);
  body.writeUInt8(family, 16);
  body.writeUInt16BE(resource, 18);
  return body;
}

/** Reads up to the answer to `last`, or all that is there: what refuses a batch as a whole comes alone. */
function readAnswers(fd: number, last: number | undefined): readonly NfAnswer[] {
  const buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
  const answers: NfAnswer[] = [];
  for (;;) {
    if (answers.some(({ sequence }) => sequence === last)) return answers;
    let length: number;
    try {
      length = receive(fd, buffer, MSG_DONTWAIT);
    } catch (error) {
      if (hasErrno(error, "EAGAIN")) return answers;
      throw error;
    }
    for (let at = 0; at + 16 <= length; at += Math.max((buffer.readUInt32LE(at) + 3) & ~3, 16)) {
      const message = buffer.subarray(at, Math.min(at + buffer.readUInt32LE(at), length));
      if (message.readUInt16LE(4) === NLMSG_ERROR) answers.push(parseAnswer(message));
    }
  }
}

/** struct nlmsgerr: the errno, the header of the message that it is about, and attributes of the kernel's. */
function parseAnswer(message: Buffer): NfAnswer {
  const number = -message.readInt32LE(16);
  const flags = message.readUInt16LE(6);
  let offset: number | undefined;
  if ((flags & NLM_F_ACK_TLVS) !== 0) {
    const original = (flags & NLM_F_CAPPED) !== 0 ? 16 : message.readUInt32LE(20);
    for (let at = 20 + original; at + 8 <= message.length; at += Math.max((message.readUInt16LE(at) + 3) & ~3, 4)) {
      if (message.readUInt16LE(at + 2) === NLMSGERR_ATTR_OFFS) offset = message.readUInt32LE(at + 4);
    }
  }
  return { sequence: message.readUInt32LE(28), errno: number === 0 ? undefined : errnoName(number), offset };
}
