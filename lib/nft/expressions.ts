/**
 * What of a packet is looked at, in nft's words and in the kernel's: the fields of keys and values, of which sets are
 * declared and which rules load into registers.
 *
 * A register holds four bytes here; what is longer or comes after another begins at the next one that is free, as
 * keys of several fields lie in memory.
 *
 * @module
 */
import type { Family } from "../net/address.ts";
import type { NfWriter } from "../sys/nfwriter.ts";
import { IPPROTO } from "./constants.ts";

/** The type of a field: how long it is, and as what nft shows it. */
export type NftFieldKind = "ipv4" | "ipv6" | "protocol" | "port" | "number" | "name";

export interface NftExpression {
  /** As nft writes it. */
  readonly text: string;
  readonly kind: NftFieldKind;
  /** What nft keeps beside a set that was declared `typeof` this; undefined: a set cannot be. */
  readonly declared?: Buffer;
  /** Writes the expression that loads it. */
  load(writer: NfWriter, register: number): void;
}

/** Bytes of a field, and the number that nft has for its type: `enum datatypes` of include/datatype.h. */
export const FIELDS: Readonly<Record<NftFieldKind, { readonly bytes: number; readonly type: number }>> = {
  ipv4: { bytes: 4, type: 7 },
  ipv6: { bytes: 16, type: 8 },
  protocol: { bytes: 1, type: 12 },
  port: { bytes: 2, type: 13 },
  number: { bytes: 4, type: 4 },
  name: { bytes: 16, type: 41 },
};

/** `NFT_REG32_00`: the first register of four bytes. */
export const FIRST_REGISTER = 8;

// linux/netfilter/nf_tables.h
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER = 2;
const NFT_META_IIFNAME = 6;
const NFT_META_L4PROTO = 16;
const NFT_CT_DST_IP = 20;
const NFT_CT_DST_IP6 = 22;
const NFT_CT_PROTO_DST = 12;
const IP_CT_DIR_ORIGINAL = 0;
const NFT_NG_RANDOM = 1;
/** The numbers of nft's expressions and protocols in user data: include/expression.h, include/proto.h. */
const EXPR_PAYLOAD = 7;
const EXPR_META = 9;
const EXPR_CONCAT = 13;
const EXPR_NUMGEN = 23;
const PROTO_DESC: Readonly<Record<string, number>> = { udp: 6, tcp: 8, sctp: 10, th: 11, ip: 12, ip6: 13 };

/** `ip saddr`, `ip6 daddr`. */
export function address(family: Family, side: "saddr" | "daddr"): NftExpression {
  const [protocol, kind, source, bytes] =
    family === 4 ? (["ip", "ipv4", 12, 4] as const) : (["ip6", "ipv6", 8, 16] as const);
  const offset = source + (side === "saddr" ? 0 : bytes);
  // The number of the field in nft's description of the header.
  const field = (family === 4 ? 11 : 8) + (side === "saddr" ? 0 : 1);
  return {
    text: `${protocol} ${side}`,
    kind,
    declared: declaredPayload(protocol, field),
    load: (writer, register) => payload(writer, register, { base: NFT_PAYLOAD_NETWORK_HEADER, offset, bytes }),
  };
}

/** The first `bytes` of an address, for comparing it with a network. */
export function addressStart(family: Family, side: "saddr" | "daddr", bytes: number) {
  const offset = (family === 4 ? 12 : 8) + (side === "saddr" ? 0 : family === 4 ? 4 : 16);
  return (writer: NfWriter, register: number) =>
    payload(writer, register, { base: NFT_PAYLOAD_NETWORK_HEADER, offset, bytes });
}

/** `tcp dport`; `th dport` for any protocol that has ports there. A rule has to match the protocol before. */
export function dport(protocol: "tcp" | "udp" | "sctp" | "th"): NftExpression {
  return {
    text: `${protocol} dport`,
    kind: "port",
    declared: declaredPayload(protocol, 2),
    load: (writer, register) =>
      payload(writer, register, { base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, bytes: FIELDS.port.bytes }),
  };
}

/** `meta l4proto`. */
export const l4proto: NftExpression = {
  text: "meta l4proto",
  kind: "protocol",
  declared: declared(EXPR_META, userData([[0, hostBytes32(NFT_META_L4PROTO)]])),
  load: (writer, register) => meta(writer, register, NFT_META_L4PROTO),
};

/** `iifname`: empty for what the host itself sends. */
export const iifname: NftExpression = {
  text: "iifname",
  kind: "name",
  load: (writer, register) => meta(writer, register, NFT_META_IIFNAME),
};

/** `numgen random mod N offset M`: another number for each packet, from the offset on. */
export function random(mod: number, offset = 0): NftExpression {
  const parts: readonly (readonly [number, Buffer])[] = [
    [0, hostBytes32(NFT_NG_RANDOM)],
    [1, hostBytes32(mod)],
    [2, hostBytes32(offset)],
  ];
  return {
    text: `numgen random mod ${mod}${offset === 0 ? "" : ` offset ${offset}`}`,
    kind: "number",
    declared: declared(EXPR_NUMGEN, userData(parts)),
    load: (writer, register) =>
      expression(writer, "numgen", () => {
        writer.attributeU32(1, register);
        writer.attributeU32(2, mod);
        writer.attributeU32(3, NFT_NG_RANDOM);
        writer.attributeU32(4, offset);
      }),
  };
}

/** `ct original ip daddr`: what the connection was asked for, before NAT. */
export function originalAddress(family: Family): NftExpression {
  return {
    text: `ct original ${family === 4 ? "ip" : "ip6"} daddr`,
    kind: family === 4 ? "ipv4" : "ipv6",
    load: (writer, register) => ct(writer, register, family === 4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6),
  };
}

/** `ct original proto-dst`. */
export const originalPort: NftExpression = {
  text: "ct original proto-dst",
  kind: "port",
  load: (writer, register) => ct(writer, register, NFT_CT_PROTO_DST),
};

/** Loads several as one key: `ip daddr . tcp dport`. */
export function loadAll(writer: NfWriter, fields: readonly NftExpression[]): void {
  let register = FIRST_REGISTER;
  for (const field of fields) {
    field.load(writer, register);
    register += registersOf(field.kind);
  }
}

/** How many registers a field takes. */
export function registersOf(kind: NftFieldKind): number {
  return Math.ceil(FIELDS[kind].bytes / 4);
}

/** Writes `NFTA_LIST_ELEM` with one expression of a rule. */
export function expression(writer: NfWriter, name: string, attributes: () => void): void {
  const element = writer.nest(1);
  writer.attributeText(1, name);
  const data = writer.nest(2);
  attributes();
  writer.close(data);
  writer.close(element);
}

/** What nft keeps of the fields that a key or a value is declared by. */
export function declaredFields(fields: readonly NftExpression[]): Buffer {
  const parts = fields.map(({ declared: one, text }, index): readonly [number, Buffer] => {
    if (one === undefined) throw new Error(`no set can be declared by ${text}`);
    return [index, one];
  });
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only[1] : declared(EXPR_CONCAT, userData(parts));
}

/** A list of type, length, value in one byte each. */
export function userData(parts: readonly (readonly [number, Buffer])[]): Buffer {
  return Buffer.concat(parts.flatMap(([type, body]) => [Buffer.of(type, body.length), body]));
}

/** 32 bits in the processor's order, as nft keeps its own numbers. */
export function hostBytes32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function protocolNumber(protocol: string): number {
  return IPPROTO[protocol] ?? 0;
}

function declared(kind: number, data: Buffer): Buffer {
  return userData([
    [0, hostBytes32(kind)],
    [1, data],
  ]);
}

function declaredPayload(protocol: string, field: number): Buffer {
  const parts: readonly (readonly [number, Buffer])[] = [
    [0, hostBytes32(PROTO_DESC[protocol] ?? 0)],
    [1, hostBytes32(field)],
  ];
  return declared(EXPR_PAYLOAD, userData(parts));
}

function payload(
  writer: NfWriter,
  register: number,
  { base, offset, bytes }: { readonly base: number; readonly offset: number; readonly bytes: number },
): void {
  expression(writer, "payload", () => {
    writer.attributeU32(1, register);
    writer.attributeU32(2, base);
    writer.attributeU32(3, offset);
    writer.attributeU32(4, bytes);
  });
}

function meta(writer: NfWriter, register: number, key: number): void {
  expression(writer, "meta", () => {
    writer.attributeU32(1, register);
    writer.attributeU32(2, key);
  });
}

function ct(writer: NfWriter, register: number, key: number): void {
  expression(writer, "ct", () => {
    writer.attributeU32(1, register);
    writer.attributeU32(2, key);
    writer.attributeU8(3, IP_CT_DIR_ORIGINAL);
  });
}
