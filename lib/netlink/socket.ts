/**
 * One rtnetlink socket: requests with their answers, dumps, and the kernel's errors in words.
 *
 * A socket belongs for ever to the namespace that it was opened in, so two of them are how one process works on
 * the host and in a container. All calls are synchronous: the kernel does the work inside `send`, and the answer
 * is there when it returns.
 *
 * @module
 */
import {
  AttrStream,
  countLength,
  formatHeader,
  HEADER_LENGTH,
  parseAttributes,
  type StreamData,
} from "netlink/dist/structs";
import { type ErrorCode, TsnetError } from "../errors.ts";
import { codeOfErrno, errnoName } from "../sys/libc.ts";
import { bindNetlink, closeFd, NETLINK_ROUTE, openNetlink, receive, send, setSocketOption } from "../sys/native.ts";
import { inside, type Netns } from "../sys/netns.ts";
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  SOL_NETLINK,
} from "./constants.ts";

/** A request as the nouns of this folder build them. */
export interface Request {
  /** `RTM_*`. */
  readonly type: number;
  /** `NLM_F_*` beside REQUEST and ACK. */
  readonly flags?: number;
  /** The payload: fixed struct and attributes. */
  readonly body: StreamData;
  /** What it does, for the error: `add link veth0`. */
  readonly what: string;
}

/** That the kernel refused one of several messages. */
export interface Refusal {
  /** Which, counted from 0. */
  readonly number: number;
  readonly errno: string;
  /** Why, in words. */
  readonly reason: string;
}

// A dump comes in datagrams of at most 32 KiB (netlink_dump in net/netlink/af_netlink.c).
const RECEIVE_BYTES = 64 * 1024;
// A dump that keeps changing while it is read: more than this many times is not bad luck.
const DUMP_TRIES = 20;

/** A netlink conversation with the kernel about one network namespace. */
export class RtSocket {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
  #sequence = 0;
  #open = true;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens a socket in `netns`, or in the namespace that the process is in. */
  static open(netns?: Netns): RtSocket {
    const fd = netns === undefined ? openNetlink(NETLINK_ROUTE) : inside(netns, () => openNetlink(NETLINK_ROUTE));
    bindNetlink(fd, 0);
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) {
      setSocketOption(fd, SOL_NETLINK, option, 1);
    }
    return new RtSocket(fd);
  }

  /** A second close is fine. */
  close(): void {
    if (this.#open) closeFd(this.#fd);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Changes something and waits for the acknowledgement. False if the kernel answered with one of `expected`
   * (errno names), which costs no error object.
   *
   * @throws TsnetError with the errno's code; the kernel's own message is part of the text.
   */
  change(request: Request, ...expected: readonly string[]): boolean {
    const sequence = this.#send(request, NLM_F_ACK);
    return this.#receive(sequence, request.what, expected, () => {}) === "whole";
  }

  /**
   * Asks for one object: the payload of the answer, or undefined if the kernel answered with one of `expected`. No
   * ACK is asked for, as it would stay in the queue.
   */
  get(request: Request, ...expected: readonly string[]): Buffer | undefined {
    const sequence = this.#send(request, 0);
    let answer: Buffer | undefined;
    this.#receive(sequence, request.what, expected, (payload) => {
      answer = payload;
    });
    return answer;
  }

  /**
   * Makes the changes that `messages` asks for, one message behind the other, in one datagram, and waits for the end
   * of it all. Each is made or refused for itself. The numbers of the messages are written over.
   *
   * An answer comes to the last, and to what is refused: so many messages at a time that their refusals fit the
   * receive buffer.
   */
  changeAll(messages: Buffer): readonly Refusal[] {
    const first = this.#sequence + 1;
    for (let at = 0; at < messages.length; ) {
      const size = messages.readUInt32LE(at);
      messages.writeUInt32LE(++this.#sequence, at + 8);
      if (at + size >= messages.length) messages.writeUInt16LE(messages.readUInt16LE(at + 6) | NLM_F_ACK, at + 6);
      at += size;
    }
    if (this.#sequence < first) return [];
    send(this.#fd, messages);
    const refusals: Refusal[] = [];
    const buffer = this.#buffer;
    for (;;) {
      const length = receive(this.#fd, buffer);
      for (let at = 0; at + HEADER_LENGTH <= length; at += (buffer.readUInt32LE(at) + 3) & ~3) {
        const sequence = buffer.readUInt32LE(at + 8);
        if (sequence < first || buffer.readUInt16LE(at + 4) !== NLMSG_ERROR) continue;
        const payload = buffer.subarray(at + HEADER_LENGTH, at + buffer.readUInt32LE(at));
        const errno = errnoOf(payload);
        if (errno !== undefined) {
          const reason = reasonOf(errno, buffer.readUInt16LE(at + 6), payload);
          refusals.push({ number: sequence - first, errno, reason });
        }
        if (sequence === this.#sequence) return refusals;
      }
    }
  }

  /** Asks for all objects of a kind. A dump that the kernel says was interrupted by a change is asked for again. */
  dump(request: Request): readonly Buffer[] {
    for (let tries = 0; tries < DUMP_TRIES; tries++) {
      const sequence = this.#send(request, NLM_F_DUMP);
      const payloads: Buffer[] = [];
      const end = this.#receive(sequence, request.what, [], (payload) => payloads.push(payload));
      if (end === "whole") return payloads;
    }
    throw new TsnetError(
      `${request.what}: the kernel's tables changed ${DUMP_TRIES} times while they were read: try again`,
      { code: "busy", op: request.what },
    );
  }

  #send(request: Request, flags: number): number {
    const sequence = ++this.#sequence;
    const stream = new AttrStream();
    stream.emit(request.body);
    const header = formatHeader({
      length: HEADER_LENGTH + countLength(stream.bufs),
      type: request.type,
      flags: NLM_F_REQUEST | flags | (request.flags ?? 0),
      seq: sequence,
      port: 0,
    });
    send(this.#fd, Buffer.concat([header, ...stream.bufs]));
    return sequence;
  }

  /** Reads until the answer to `sequence` is there. */
  #receive(
    sequence: number,
    what: string,
    expected: readonly string[],
    onPayload: (payload: Buffer) => void,
  ): "whole" | "interrupted" | "refused" {
    let end: "whole" | "interrupted" = "whole";
    const buffer = this.#buffer;
    for (;;) {
      const length = receive(this.#fd, buffer);
      for (let at = 0; at + HEADER_LENGTH <= length; ) {
        // struct nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 port.
        const start = at + HEADER_LENGTH;
        const size = buffer.readUInt32LE(at);
        const type = buffer.readUInt16LE(at + 4);
        const flags = buffer.readUInt16LE(at + 6);
        // An answer to something that was given up, such as the rest of a dump, is passed over.
        const ours = buffer.readUInt32LE(at + 8) === sequence;
        const payload = buffer.subarray(start, at + size);
        at += (size + 3) & ~3;
        if (!ours) continue;
        if ((flags & NLM_F_DUMP_INTR) !== 0) end = "interrupted";
        if (type === NLMSG_ERROR || type === NLMSG_DONE) {
          const errno = errnoOf(payload);
          if (errno === undefined) return end;
          if (expected.includes(errno)) return "refused";
          throw refusal(what, errno, flags, payload);
        }
        // A copy: the buffer serves the next datagram, too.
        onPayload(Buffer.from(payload));
        if ((flags & NLM_F_MULTI) === 0) return end;
      }
    }
  }
}

/** NLMSG_ERROR with a zero is an acknowledgement; NLMSG_DONE carries an errno too, as a dump may fail at its start. */
function errnoOf(payload: Buffer): string | undefined {
  const number = payload.length < 4 ? 0 : -payload.readInt32LE(0);
  return number === 0 ? undefined : errnoName(number);
}

function refusal(what: string, errno: string, flags: number, payload: Buffer): TsnetError {
  return new TsnetError(`${what}: ${reasonOf(errno, flags, payload)}`, { code: codeOf(errno), op: what, errno });
}

/** The kernel's own words where it has some, and the errno's name. */
function reasonOf(errno: string, flags: number, payload: Buffer): string {
  const hint = (flags & NLM_F_ACK_TLVS) === 0 ? undefined : extendedAck(flags, payload);
  return `${hint ?? EXPLANATION[errno] ?? "refused by the kernel"} (${errno})`;
}

// What the errno means for links, addresses and routes, where the kernel adds no message of its own.
const EXPLANATION: Readonly<Record<string, string>> = {
  ENODEV: "no such device",
  ENOENT: "no such object",
  ESRCH: "no such entry",
  EEXIST: "it exists already",
  EPERM: "not permitted: run as root",
  EBUSY: "the device is in use",
  EOPNOTSUPP: "this kernel does not support it",
  EINVAL: "the kernel takes this for invalid",
  ENETUNREACH: "the gateway cannot be reached on the link",
  EXFULL: "the bridge has no free port",
  ENETDOWN: "it is down, or the link that it stands on is",
  EADDRINUSE: "another link has this address already",
};

function codeOf(errno: string): ErrorCode {
  return errno === "EXFULL" ? "exhausted" : codeOfErrno(errno);
}

/** The kernel's own words, NLMSGERR_ATTR_MSG of linux/netlink.h, behind the (capped) copy of the request. */
function extendedAck(flags: number, payload: Buffer): string | undefined {
  const copied = (flags & NLM_F_CAPPED) !== 0 ? HEADER_LENGTH : payload.readUInt32LE(4);
  let text: string | undefined;
  parseAttributes(payload.subarray(4 + ((copied + 3) & ~3)), (attribute) => {
    if (attribute.type === NLMSGERR_ATTR_MSG) text = attribute.data.toString("utf8").replace(/\0.*$/s, "");
  });
  return text;
}
