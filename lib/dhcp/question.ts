/**
 * One message and the answer to it, sent again while nothing comes: RFC 2131, section 4.1.
 *
 * @module
 */
import type { Clock } from "../daemon/clock.ts";
import { messageOf } from "../errors.ts";
import type { Address } from "../net/address.ts";
import { CLIENT_PORT, decodeDatagram, encodeDatagram, SERVER_PORT } from "./datagram.ts";
import { decodeMessage, encodeMessage, type Incoming, type Outgoing } from "./message.ts";
import { EVERYBODY } from "./options.ts";

/** A link that IPv4 datagrams go out and come in by. */
export interface Wire {
  /** `to` is a link address of 6 bytes. */
  send(datagram: Uint8Array, to: Uint8Array): void;
  close(): void;
}

/** Opens one; `received` is told of each datagram to the client's port and of the link address that it came from. */
export type OpenWire = (received: (datagram: Buffer, from: Uint8Array) => void) => Wire;

/** Where messages go, and from which address. */
export interface Route {
  readonly from: Address;
  readonly to: Address;
  /** Link address of the next hop. */
  readonly link: Uint8Array;
}

export interface Question {
  /** The message as it is `seconds` after the first one was sent. */
  readonly message: (seconds: number) => Outgoing;
  readonly route: Route;
  /** Whether a message with the question's number and for its sender is the answer. */
  readonly isAnswer: (message: Incoming) => boolean;
  /** When to give up, by the clock. */
  readonly until: number;
}

export interface Answer {
  readonly message: Incoming;
  /** Link address of whoever brought it. */
  readonly via: Uint8Array;
}

export interface Means {
  readonly open: OpenWire;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/** From an address that is none, to all: what is said before there is an address. */
export const TO_EVERYBODY: Route = {
  from: { family: 4, value: 0n },
  to: EVERYBODY,
  link: Uint8Array.of(255, 255, 255, 255, 255, 255),
};

/** A datagram that carries the message along the route. */
export function datagramOf(message: Outgoing, { from, to }: Route): Uint8Array {
  return encodeDatagram({ from, to, fromPort: CLIENT_PORT, toPort: SERVER_PORT, payload: encodeMessage(message) });
}

/** RFC 2131 says 4 s. But what is sent as a bridge's port has just come up may get lost there, and containers wait. */
const FIRST_WAIT_MS = 500;

/**
 * The answer; a text that says why there is none.
 *
 * @throws whatever `open` throws; the signal's reason if it is aborted.
 */
export function ask(question: Question, means: Means, signal: AbortSignal): Promise<Answer | string> {
  const { message, route, isAnswer, until } = question;
  const { open, clock, random } = means;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const began = clock.now();
    const first = message(0);
    let silence = "no answer";
    let callOff = () => {};
    const wire = open((datagram, via) => {
      const heard = decodeDatagram(datagram);
      if (heard === undefined || heard.toPort !== CLIENT_PORT || heard.fromPort !== SERVER_PORT) return;
      const answer = decodeMessage(heard.payload);
      if (answer === undefined || answer.xid !== first.xid || !sameBytes(answer.mac, first.mac)) return;
      if (isAnswer(answer)) end(() => resolve({ message: answer, via: Uint8Array.from(via) }));
    });
    const end = (settle: () => void) => {
      callOff();
      signal.removeEventListener("abort", abort);
      wire.close();
      settle();
    };
    const abort = () => end(() => reject(signal.reason));
    signal.addEventListener("abort", abort);
    const say = (wait: number) => {
      const now = clock.now();
      if (now >= until) return end(() => resolve(silence));
      try {
        wire.send(datagramOf(message(Math.floor((now - began) / 1000)), route), route.link);
      } catch (error) {
        // A link that is down for a moment: as good as lost on the way.
        silence = messageOf(error);
      }
      const jittered = wait * (0.75 + random() / 2);
      callOff = clock.after(Math.min(jittered, until - now), () => say(wait * 2));
    };
    say(FIRST_WAIT_MS);
  });
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
