/**
 * Asking somebody else: the question goes on as it came, and so does the answer, but for its number.
 *
 * All goes over the host's own network namespace, so that a resolver on the host's loopback is one like any other.
 * Each question has a socket of its own, whose port nobody can guess (RFC 5452).
 *
 * @module
 */
import { connectUdp } from "../../lib/sys/datagrams.ts";
import { connectTcp } from "../../lib/sys/streams.ts";
import { HEADER_BYTES, RCODE, refuse, type Transport } from "./answer.ts";
import { Frames, frame } from "./frames.ts";

/** Milliseconds after which the next one is asked too; the first answer counts, whoever gives it. */
const PATIENCE = 500;
/** Milliseconds until we give up. Programs ask again after five seconds. */
const DEADLINE = 4500;
/** How often each is asked: a datagram may get lost. */
const ROUNDS = 2;
const DNS_PORT = 53;

/** What `servers` answer, or SERVFAIL if none of them does. Never fails. */
export function askUpstream(query: Buffer, transport: Transport, servers: readonly string[]): Promise<Buffer> {
  // The runtime's buffer is used again for the next question.
  return new Promise((resolve) => new Round(Buffer.from(query), transport, servers, resolve).askNext());
}

/** One question on its way to several. */
class Round {
  readonly #query: Buffer;
  readonly #transport: Transport;
  readonly #left: string[];
  readonly #resolve: (answer: Buffer) => void;
  readonly #closes: (() => void)[] = [];
  readonly #deadline: ReturnType<typeof setTimeout>;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #waiting = 0;
  #done = false;
  /** Of one that could not or would not answer. */
  #worst: Buffer | undefined;

  constructor(query: Buffer, transport: Transport, servers: readonly string[], resolve: (answer: Buffer) => void) {
    this.#query = query;
    this.#transport = transport;
    this.#left = Array.from({ length: ROUNDS }, () => servers).flat();
    this.#resolve = resolve;
    this.#deadline = setTimeout(() => this.#end(), DEADLINE);
  }

  askNext(): void {
    clearTimeout(this.#patience);
    const server = this.#left.shift();
    if (this.#done || server === undefined) {
      if (this.#waiting === 0) this.#end();
      return;
    }
    this.#patience = setTimeout(() => this.askNext(), PATIENCE);
    this.#waiting += 1;
    let failed = false;
    const fail = () => {
      if (failed) return;
      failed = true;
      this.#waiting -= 1;
      this.askNext();
    };
    const ask = this.#transport === "udp" ? askByUdp : askByTcp;
    const [id, query] = renumbered(this.#query);
    void ask(server, query, { received: (answer) => this.#hear(answer, id, fail), failed: fail }).then((close) => {
      if (this.#done) close();
      else this.#closes.push(close);
    }, fail);
  }

  #hear(answer: Buffer, id: number, fail: () => void): void {
    if (this.#done || !answersTo(answer, this.#query, id)) return;
    const numbered = Buffer.from(answer);
    this.#query.copy(numbered, 0, 0, 2);
    const rcode = (numbered[3] ?? 0) & 0xf;
    if (rcode !== RCODE.SERVFAIL && rcode !== REFUSED) {
      this.#end(numbered);
      return;
    }
    this.#worst = numbered;
    fail();
  }

  #end(answer = this.#worst ?? refuse(this.#query, RCODE.SERVFAIL)): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#patience);
    for (const close of this.#closes) close();
    this.#resolve(answer);
  }
}

const REFUSED = 5;

interface Hearing {
  readonly received: (answer: Buffer) => void;
  readonly failed: () => void;
}

type Close = () => void;

async function askByUdp(address: string, query: Buffer, hearing: Hearing): Promise<Close> {
  const socket = await connectUdp({ address, port: DNS_PORT, ...hearing });
  socket.send(query);
  return () => socket.close();
}

async function askByTcp(address: string, query: Buffer, { received, failed }: Hearing): Promise<Close> {
  const frames = new Frames();
  const connection = await connectTcp(address, DNS_PORT, () => ({
    received(data) {
      for (const answer of frames.take(data)) received(answer);
    },
    closed: failed,
  }));
  connection.send(frame(query));
  return () => connection.abort();
}

/** A copy with a number that nobody can guess. */
function renumbered(query: Buffer): readonly [id: number, query: Buffer] {
  const copy = Buffer.from(query);
  crypto.getRandomValues(copy.subarray(0, 2));
  return [copy.readUInt16BE(), copy];
}

/** Whether it is the answer to what was asked, and not what somebody made up. */
function answersTo(answer: Buffer, query: Buffer, id: number): boolean {
  if (answer.length < HEADER_BYTES || answer.readUInt16BE() !== id || ((answer[2] ?? 0) & 0x80) === 0) return false;
  // Some leave the question out of an error.
  if (answer.readUInt16BE(4) === 0) return ((answer[3] ?? 0) & 0xf) !== 0;
  const end = endOfQuestion(query);
  return answer.subarray(HEADER_BYTES, end).equals(query.subarray(HEADER_BYTES, end));
}

/** Behind the name, its type and its class; a question is never compressed. */
function endOfQuestion(query: Buffer): number {
  let at = HEADER_BYTES;
  for (let length = query[at]; length !== undefined && length !== 0; length = query[at]) at += 1 + length;
  return Math.min(at + 5, query.length);
}
