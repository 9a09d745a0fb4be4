/**
 * The clients of the prober's agent: one question, many, one until somebody answers, and floods of them.
 *
 * @module
 */
import type { Loop } from "./prober-loop.ts";
import { INIT, INIT_ACK, parseSctp, sctp } from "./prober-packets.ts";
import {
  bindTo,
  closeSocket,
  EPOLLERR,
  EPOLLHUP,
  enter,
  IPPROTO_SCTP,
  keepRefused,
  openSocket,
  receiveOn,
  refusedPackets,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  sendOn,
  socketError,
  startConnect,
} from "./prober-sockets.ts";

export interface Ask {
  readonly netns: string;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly address: string;
  readonly port: number;
  readonly sourceAddress?: string;
  readonly sourcePort?: number;
  readonly timeoutMs: number;
}

/** Takes what a server said, with the open socket; or an outcome. */
type Done = (answer: string, fd?: number) => void;

const OUTCOMES = new Map([
  ["ECONNREFUSED", "refused"],
  ["ECONNRESET", "reset"],
  ["EHOSTUNREACH", "unreachable"],
  ["ENETUNREACH", "unreachable"],
  ["EACCES", "prohibited"],
]);
const UNTIL_PAUSE_MS = 5;

/** Asks once; with `keep`, the socket stays open whatever comes of it. */
export function ask(loop: Loop, question: Ask, done: Done, keep = false): void {
  const raw = question.protocol === "sctp";
  const port = raw ? (question.sourcePort ?? loop.nextPort()) : 0;
  const opened = question.protocol === "udp" ? connectAnew(loop, question) : connectTo(question);
  if (opened.failed !== undefined) {
    closeSocket(opened.fd);
    done(OUTCOMES.get(opened.failed) ?? opened.failed);
    return;
  }
  if (question.protocol === "udp") sendOn(opened.fd, QUESTION);
  // An error about somebody else's packet fails a call, and is over with that.
  const init = sctp(port, question.port, INIT, 0);
  for (let tries = 0; raw && tries < 100 && !sendOn(opened.fd, init); tries++);
  const reading = (bytes: Uint8Array) =>
    raw ? cookieFor(bytes, port, question.address.includes(":") ? 6 : 4) : new TextDecoder().decode(bytes);
  const ours = raw ? () => refusedPackets(opened.fd).some((packet) => sourcePortOf(packet) === port) : () => true;
  awaitAnswer(loop, opened.fd, { timeoutMs: question.timeoutMs, reading, ours, done, keep });
}

/** SCTP's as any transport's. */
function sourcePortOf(packet: Uint8Array): number {
  return ((packet[0] ?? 0) << 8) | (packet[1] ?? 0);
}

const QUESTION = new TextEncoder().encode("?");

/**
 * From a port that nobody has asked from yet: the kernel's choice is random, and what hits upon the flow of an earlier
 * question goes where that one went.
 */
function connectAnew(loop: Loop, question: Ask): ReturnType<typeof connectTo> {
  if (question.sourcePort !== undefined) return connectTo(question);
  for (;;) {
    try {
      return connectTo({ ...question, sourcePort: loop.nextPort() });
    } catch (error) {
      if (!String(error).includes("EADDRINUSE")) throw error;
    }
  }
}

function connectTo(question: Ask): { readonly fd: number; readonly failed: string | undefined } {
  enter(question.netns);
  const raw = question.protocol === "sctp";
  const type = { tcp: SOCK_STREAM, udp: SOCK_DGRAM, sctp: SOCK_RAW }[question.protocol];
  const fd = openSocket(question.address, type, raw ? IPPROTO_SCTP : 0);
  // A raw socket has no port: there a port is part of what is sent.
  const { sourceAddress, sourcePort = 0 } = raw ? { ...question, sourcePort: 0 } : question;
  if (sourceAddress !== undefined || sourcePort !== 0) {
    const wildcard = question.address.includes(":") ? "::" : "0.0.0.0";
    try {
      bindTo(fd, { address: sourceAddress ?? wildcard, port: sourcePort });
    } catch (error) {
      closeSocket(fd);
      throw error;
    }
  }
  if (raw) keepRefused(fd, question.address);
  const failed = startConnect(fd, { address: question.address, port: raw ? 0 : question.port });
  return { fd, failed: raw ? undefined : failed };
}

/** What an INIT ACK for our port says; undefined for anything else that a raw socket sees. */
function cookieFor(bytes: Uint8Array, port: number, family: 4 | 6): string | undefined {
  const packet = parseSctp(bytes, family);
  return packet?.type === INIT_ACK && packet.to === port ? packet.text : undefined;
}

interface Awaited {
  readonly timeoutMs: number;
  /** Undefined: not for us. */
  readonly reading: (bytes: Uint8Array) => string | undefined;
  /** Whether an error is about what was sent here: a raw socket is told of all that its host sent to an address. */
  readonly ours?: () => boolean;
  readonly done: Done;
  /** The socket stays open, and is handed on, whatever comes of it. */
  readonly keep: boolean;
}

/** Waits for what comes back on a socket, and closes it unless that was an answer or it is to be kept. */
export function awaitAnswer(
  loop: Loop,
  fd: number,
  { timeoutMs, reading, ours = () => true, done, keep }: Awaited,
): void {
  const end = (outcome: string) => {
    cancel();
    loop.remove(fd);
    if (!keep) closeSocket(fd);
    done(OUTCOMES.get(outcome) ?? outcome, keep ? fd : undefined);
  };
  const cancel = loop.after(timeoutMs, () => end("dropped"));
  loop.add(fd, (events) => {
    const failed = events & (EPOLLERR | EPOLLHUP) ? socketError(fd) : undefined;
    if (failed !== undefined || events & EPOLLERR) {
      if (ours()) end(failed ?? "closed");
      return;
    }
    const got = receiveOn(fd);
    if (got === "EAGAIN") return;
    if (typeof got === "string") end(got);
    else if (got.data.length === 0) end("closed");
    else {
      const answer = reading(got.data);
      if (answer === undefined) return;
      cancel();
      loop.remove(fd);
      done(answer.trim(), fd);
    }
  });
}

export interface Many {
  readonly asks: readonly Ask[];
  /** How often each. */
  readonly count: number;
  /** How many at once. */
  readonly concurrency: number;
}

/** Asks all in turns; the answers are in the order of the questions. */
export function askAll(
  loop: Loop,
  { asks, count, concurrency }: Many,
  done: (answers: readonly string[]) => void,
): void {
  const total = asks.length * count;
  const answers: string[] = new Array(total).fill("");
  let [started, finished] = [0, 0];
  const next = () => {
    const at = started++;
    const question = asks[at % asks.length];
    if (question === undefined || at >= total) return;
    loop.inTurn((release) =>
      ask(loop, question, (answer, fd) => {
        release();
        if (fd !== undefined) closeSocket(fd, question.protocol === "tcp");
        answers[at] = answer;
        finished++;
        if (finished === total) done(answers);
        else next();
      }),
    );
  };
  if (total === 0) done([]);
  for (let i = 0; i < concurrency; i++) next();
}

/** Asks until a server answers, or until `deadline` (as performance.now() has it). */
export function askUntil(loop: Loop, question: Ask, deadline: number, done: (answer: string) => void): void {
  ask(loop, question, (answer, fd) => {
    if (fd !== undefined) closeSocket(fd, question.protocol === "tcp");
    if (fd !== undefined || performance.now() > deadline) done(answer);
    else loop.after(UNTIL_PAUSE_MS, () => askUntil(loop, question, deadline, done));
  });
}

/** Begins a flow to each, whose answer nobody waits for. */
export function floodOnce(asks: readonly Ask[]): void {
  for (const question of asks) {
    const { fd } = connectTo(question);
    if (question.protocol === "udp") sendOn(fd, QUESTION);
    closeSocket(fd, question.protocol === "tcp");
  }
}
