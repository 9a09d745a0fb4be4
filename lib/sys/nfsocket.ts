/**
 * A netlink socket to netfilter: requests and their answers, batches of any size, dumps a datagram at a time.
 *
 * Synchronous: when `send` returns the kernel has done the work and its answers are in the queue. Whoever changes
 * rules again and again keeps one open, since closing one waits for what nf_tables still frees.
 *
 * @module
 */
import { hasErrno, TsnetError } from "../errors.ts";
import { codeOfErrno, errnoName } from "./libc.ts";
import { bindNetlink, closeFd, NETLINK_NETFILTER, openNetlink, receive, send, setSocketOption } from "./native.ts";
import { inside, type Netns } from "./netns.ts";
import type { NfAnswer } from "./nfnetlink.ts";

// linux/netlink.h, asm-generic/socket.h
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_OFFS = 2;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const SOL_NETLINK = 270;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_SNDBUFFORCE = 32;
const MSG_DONTWAIT = 0x40;
const RECEIVE_BYTES = 64 * 1024;
/** What the kernel gives a socket at least (net.core.wmem_default is 212992). */
const SMALL_BYTES = 64 * 1024;

export class NfSocket {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  #sendBytes = SMALL_BYTES;
  /** Answers may be left in the queue, of a dump that was not read to its end. */
  #asking = false;
  #interrupted = false;

  /** Opens one in `netns`, or in the namespace that the process is in. */
  constructor(netns?: Netns) {
    const open = () => openNetlink(NETLINK_NETFILTER);
    this.#fd = netns === undefined ? open() : inside(netns, open);
    bindNetlink(this.#fd, 0);
    // Errors without the message that they are about, but with the place in it.
    setSocketOption(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    setSocketOption(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  }

  /**
   * Whether rules of this namespace changed while the last dump was read, so that it may lack what changed. On most
   * nodes somebody changes some all the time, and seldom those that are looked at.
   */
  get interrupted(): boolean {
    return this.#interrupted;
  }

  /**
   * Sends messages as one datagram and returns the answers: errors, and ACKs up to the one to `last`.
   *
   * @throws TsnetError if the kernel does not take the datagram at all.
   */
  talk(written: Uint8Array, last: number | undefined): readonly NfAnswer[] {
    this.#send(written);
    const answers: NfAnswer[] = [];
    for (;;) {
      // What refuses a batch as a whole comes alone.
      if (answers.some(({ sequence }) => sequence === last)) return answers;
      const length = this.#receive();
      if (length === undefined) return answers;
      for (const message of messagesOf(this.#buffer.subarray(0, length))) {
        if (message.readUInt16LE(4) === NLMSG_ERROR) answers.push(parseAnswer(message));
      }
    }
  }

  /**
   * Asks, and gives the messages that answer one by one; each is overwritten by the next. A dump (`NLM_F_DUMP` in
   * the request) goes on as it is read: nothing else may be sent meanwhile. See {@link interrupted}.
   *
   * @throws TsnetError with the kernel's errno.
   */
  *ask(written: Uint8Array): Generator<Buffer, void> {
    this.#send(written);
    this.#asking = true;
    this.#interrupted = false;
    for (;;) {
      const length = this.#receive();
      if (length === undefined) break;
      for (const message of messagesOf(this.#buffer.subarray(0, length))) {
        const type = message.readUInt16LE(4);
        if (type === NLMSG_ERROR && message.readInt32LE(16) !== 0) throw refused(-message.readInt32LE(16));
        if ((message.readUInt16LE(6) & NLM_F_DUMP_INTR) !== 0) this.#interrupted = true;
        if (type !== NLMSG_DONE && type !== NLMSG_ERROR) yield message;
      }
    }
    this.#asking = false;
  }

  close(): void {
    closeFd(this.#fd);
  }

  #send(written: Uint8Array): void {
    if (this.#asking) while (this.#receive() !== undefined);
    this.#asking = false;
    if (written.length > this.#sendBytes) this.#widen(written.length);
    try {
      send(this.#fd, written);
    } catch (error) {
      if (!hasErrno(error, "EMSGSIZE", "ENOBUFS")) throw error;
      const text = `the kernel does not take a batch of ${written.length} bytes: run with CAP_NET_ADMIN, or raise net.core.wmem_max`;
      throw new TsnetError(text, { code: "exhausted", op: "nfnetlink", cause: error });
    }
  }

  /** Beyond net.core.wmem_max only with CAP_NET_ADMIN, which whoever changes rules has. */
  #widen(bytes: number): void {
    for (const option of [SO_SNDBUFFORCE, SO_SNDBUF]) {
      try {
        setSocketOption(this.#fd, SOL_SOCKET, option, bytes);
        this.#sendBytes = bytes;
        return;
      } catch (error) {
        if (!hasErrno(error, "EPERM")) throw error;
      }
    }
  }

  #receive(): number | undefined {
    try {
      return receive(this.#fd, this.#buffer, MSG_DONTWAIT);
    } catch (error) {
      if (hasErrno(error, "EAGAIN")) return undefined;
      throw error;
    }
  }
}

function* messagesOf(datagram: Buffer): Generator<Buffer, void> {
  for (let at = 0; at + 16 <= datagram.length; ) {
    const length = Math.max(datagram.readUInt32LE(at), 16);
    yield datagram.subarray(at, Math.min(at + length, datagram.length));
    at += (length + 3) & ~3;
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

function refused(number: number): TsnetError {
  const errno = errnoName(number);
  return new TsnetError(`netfilter: ${errno}`, { code: codeOfErrno(errno), op: "nfnetlink", errno });
}
