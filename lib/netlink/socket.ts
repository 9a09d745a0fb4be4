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
import {
  bindNetlink,
  closeFd,
  codeOfErrno,
  errnoName,
  NETLINK_ROUTE,
  openNetlink,
  receive,
  send,
  setSocketOption,
} from "../sys/native.ts";
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
   * Changes something and waits for the acknowledgement.
   *
   * @throws TsnetError with the errno's code; the kernel's own message is part of the text.
   */
  change(request: Request): void {
    const sequence = this.#send(request, NLM_F_ACK);
    this.#receive(sequence, request.what, () => {});
  }

  /** Asks for one object: the payload of the answer. No ACK is asked for, as it would stay in the queue. */
  get(request: Request): Buffer {
    const sequence = this.#send(request, 0);
    let answer: Buffer | undefined;
    this.#receive(sequence, request.what, (payload) => {
      answer = payload;
    });
    if (answer === undefined)
      throw new TsnetError(`${request.what}: the kernel sent no answer`, { code: "io", op: request.what });
    return answer;
  }

  /** Asks for all objects of a kind. A dump that the kernel says was interrupted by a change is asked for again. */
  dump(request: Request): readonly Buffer[] {
    for (let tries = 0; tries < DUMP_TRIES; tries++) {
      const sequence = this.#send(request, NLM_F_DUMP);
      const payloads: Buffer[] = [];
      const whole = this.#receive(sequence, request.what, (payload) => payloads.push(payload));
      if (whole) return payloads;
    }
    throw new TsnetError(
      `${request.what}: the kernel's tables changed ${DUMP_TRIES} times while they were read: try again`,
      {
        code: "busy",
        op: request.what,
      },
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

  /** Reads until the answer to `sequence` is whole; false if the dump was interrupted. */
  #receive(sequence: number, what: string, onPayload: (payload: Buffer) => void): boolean {
    let whole = true;
    for (;;) {
      const length = receive(this.#fd, this.#buffer);
      let rest = this.#buffer.subarray(0, length);
      while (rest.length >= HEADER_LENGTH) {
        const message = splitMessage(rest);
        rest = rest.subarray((message.length + 3) & ~3);
        // An answer to something that was given up, such as the rest of a dump.
        if (message.sequence !== sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) whole = false;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          throwIfError(message, what);
          return whole;
        }
        // A copy: the buffer serves the next datagram, too.
        onPayload(Buffer.from(message.payload));
        if ((message.flags & NLM_F_MULTI) === 0) return whole;
      }
    }
  }
}

interface Message {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

function splitMessage(bytes: Buffer): Message {
  const length = bytes.readUInt32LE(0);
  return {
    length,
    type: bytes.readUInt16LE(4),
    flags: bytes.readUInt16LE(6),
    sequence: bytes.readUInt32LE(8),
    payload: bytes.subarray(HEADER_LENGTH, length),
  };
}

/** NLMSG_ERROR with a zero is an acknowledgement; NLMSG_DONE carries an errno too, as a dump may fail at its start. */
function throwIfError(message: Message, what: string): void {
  if (message.payload.length < 4) return;
  const number = -message.payload.readInt32LE(0);
  if (number === 0) return;
  const errno = errnoName(number);
  const hint = (message.flags & NLM_F_ACK_TLVS) === 0 ? undefined : extendedAck(message);
  throw new TsnetError(`${what}: ${hint ?? EXPLANATION[errno] ?? "refused by the kernel"} (${errno})`, {
    code: codeOf(errno),
    op: what,
    errno,
  });
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
};

function codeOf(errno: string): ErrorCode {
  return errno === "EXFULL" ? "exhausted" : codeOfErrno(errno);
}

/** The kernel's own words, NLMSGERR_ATTR_MSG of linux/netlink.h, behind the (capped) copy of the request. */
function extendedAck(message: Message): string | undefined {
  const copied = (message.flags & NLM_F_CAPPED) !== 0 ? HEADER_LENGTH : message.payload.readUInt32LE(4);
  let text: string | undefined;
  parseAttributes(message.payload.subarray(4 + ((copied + 3) & ~3)), (attribute) => {
    if (attribute.type === NLMSGERR_ATTR_MSG) text = attribute.data.toString("utf8").replace(/\0.*$/s, "");
  });
  return text;
}
