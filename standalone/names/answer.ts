/**
 * One question as it comes by the wire, and what is said to it: an answer of ours, or that somebody else is to be
 * asked, who gets the question as it is. Pure.
 *
 * @module
 */
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type OptAnswer,
  type Packet,
  type Question,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from "dns-packet";
import type { Found, Zone } from "./zone.ts";

export type Transport = "udp" | "tcp";

export interface Asking {
  readonly zone: Zone;
  /** Id of the container that asks. */
  readonly id: string;
  readonly transport: Transport;
  /** By how much addresses are turned, so that each is the first in its turn. */
  readonly turn: (question: string) => number;
}

export type Said =
  /** `lasting`: the same question gets the same answer, as long as the zone is the same. */
  | { readonly kind: "answer"; readonly bytes: Buffer; readonly lasting: boolean }
  | { readonly kind: "elsewhere" }
  /** No question at all: it is passed over. */
  | { readonly kind: "nothing" };

/** RFC 1035 section 4.1.1, RFC 6891 section 9. */
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, BADVERS: 16 } as const;

/** Bytes of a header. */
export const HEADER_BYTES = 12;
/** What a datagram may hold unless the asker says more: RFC 1035 section 4.2.1. */
const PLAIN_BYTES = 512;
/** What we can take; fits into any packet. */
const OUR_BYTES = 1232;
/** The most that we send at once; nothing on a loopback is split. */
const UDP_BYTES = 4096;
const MOST_BYTES = 65_535;
// RFC 1035 section 4.1.1, in the third byte.
const QR = 0x80;
const OPCODE = 0x78;

/** Answers what is ours. */
export function answerQuery(bytes: Buffer, asking: Asking): Said {
  if (bytes.length < HEADER_BYTES || ((bytes[2] ?? 0) & QR) !== 0) return { kind: "nothing" };
  if (((bytes[2] ?? 0) & OPCODE) !== 0) return { kind: "answer", bytes: refuse(bytes, RCODE.NOTIMP), lasting: false };
  const query = tryDecode(bytes);
  const [question, ...more] = query?.questions ?? [];
  if (query === undefined || question === undefined || more.length > 0) {
    return { kind: "answer", bytes: refuse(bytes, RCODE.FORMERR), lasting: false };
  }
  const opt = query.additionals?.find((record): record is OptAnswer => record.type === "OPT");
  const room = roomFor(asking.transport, opt);
  const say = (reply: Reply): Said => ({
    kind: "answer",
    bytes: write({ query, question, opt, room }, reply),
    // Several addresses are given in turn.
    lasting: reply.answers.length < 2,
  });
  if (opt !== undefined && opt.ednsVersion !== 0) return say({ rcode: RCODE.BADVERS, answers: [] });
  // Names of ours are of the Internet; any other class is nobody's.
  const found: Found = question.class === "IN" ? asking.zone.find(asking.id, question.name) : { kind: "elsewhere" };
  if (found.kind === "elsewhere") {
    return asking.zone.askedBy(asking.id) === "nobody" ? say({ rcode: RCODE.NXDOMAIN, answers: [] }) : found;
  }
  if (found.kind === "absent") return say({ rcode: RCODE.NXDOMAIN, answers: [] });
  return say({ rcode: RCODE.NOERROR, answers: answersOf(question, found, asking.turn) });
}

/** An error as answer to what may not even be readable: its header alone. */
export function refuse(query: Buffer, rcode: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  query.copy(bytes, 0, 0, 4);
  bytes[2] = (bytes[2] ?? 0) | QR;
  bytes[3] = (RECURSION_AVAILABLE & 0xff) | rcode;
  return bytes;
}

/**
 * A name that is there answers every type, with nothing where there is none of it: an NXDOMAIN for AAAA would be
 * taken as "no such host" though there is an A.
 */
function answersOf(
  { name, type }: Question,
  found: Extract<Found, { readonly kind: "addresses" | "pointer" }>,
  turn: Asking["turn"],
): readonly Answer[] {
  // Nobody shall keep what the next moment may change.
  const common = { name, ttl: 0, class: "IN" } as const;
  // The library reads the type ANY as a name that its types do not have.
  const any = (type as string) === "ANY";
  if (found.kind === "pointer") return type === "PTR" || any ? [{ ...common, type: "PTR", data: found.name }] : [];
  const of = (wanted: "A" | "AAAA"): readonly Answer[] => {
    if (type !== wanted && !any) return [];
    const addresses = found.addresses.filter((address) => address.includes(":") === (wanted === "AAAA"));
    const turned = addresses.length < 2 ? addresses : turnBy(addresses, turn(`${wanted} ${name.toLowerCase()}`));
    return turned.map((data) => ({ ...common, type: wanted, data }));
  };
  return [...of("A"), ...of("AAAA")];
}

function turnBy<T>(list: readonly T[], turns: number): readonly T[] {
  const at = turns % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

interface Reply {
  readonly rcode: number;
  readonly answers: readonly Answer[];
}

interface Context {
  readonly query: Packet;
  readonly question: Question;
  readonly opt: OptAnswer | undefined;
  /** Bytes that the answer may have. */
  readonly room: number;
}

/** Where not all fits the asker is told to come again by TCP. */
function write(context: Context, reply: Reply): Buffer {
  const whole = encode(packetOf(context, reply));
  return whole.length <= context.room ? whole : encode(packetOf(context, { ...reply, answers: [] }, true));
}

function packetOf({ query, question, opt }: Context, { rcode, answers }: Reply, truncated = false): Packet {
  const asked = (query.flags ?? 0) & RECURSION_DESIRED;
  return {
    type: "response",
    id: query.id,
    flags: asked | RECURSION_AVAILABLE | AUTHORITATIVE_ANSWER | (truncated ? TRUNCATED_RESPONSE : 0) | (rcode & 0xf),
    questions: [question],
    answers: [...answers],
    additionals: opt === undefined ? [] : [ourOpt(rcode)],
  };
}

function ourOpt(rcode: number): OptAnswer {
  return {
    type: "OPT",
    name: ".",
    udpPayloadSize: OUR_BYTES,
    extendedRcode: rcode >> 4,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}

function roomFor(transport: Transport, opt: OptAnswer | undefined): number {
  if (transport === "tcp") return MOST_BYTES;
  return Math.max(PLAIN_BYTES, Math.min(opt?.udpPayloadSize ?? PLAIN_BYTES, UDP_BYTES));
}

function tryDecode(bytes: Buffer): Packet | undefined {
  try {
    return decode(bytes);
  } catch {
    return undefined;
  }
}
