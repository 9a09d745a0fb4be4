/**
 * What rules do, in nft's words and in the kernel's: those that are written straight to the kernel, without `nft`, which
 * would read every table of the host first, whoever owns it and however new the nft is that made it.
 *
 * The bytes are those that nft 1.0.6 makes of the text, so that nft lists a rule as the text that it stands for.
 *
 * @module
 */
import { type Address, addressBytes, bitsOf, type Family, formatAddress } from "../net/address.ts";
import { type Cidr, firstOf, formatCidr, networkOf } from "../net/cidr.ts";
import type { NfWriter } from "../sys/nfwriter.ts";
import { NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE, VERDICT } from "./constants.ts";
import {
  addressStart,
  dport,
  expression,
  FIRST_REGISTER,
  l4proto,
  loadAll,
  type NftExpression,
  protocolNumber,
  registersOf,
} from "./expressions.ts";

/** A part of a rule. */
export interface NftStatement {
  readonly text: string;
  write(writer: NfWriter): void;
}

/** A rule: matches first, then what happens. */
export interface NftRule {
  readonly statements: readonly NftStatement[];
  readonly comment?: string;
}

// linux/netfilter/nf_tables.h, nf_conntrack_common.h, nf_nat.h
const NFT_CMP_EQ = 0;
const NFT_CMP_NEQ = 1;
const NFT_META_MARK = 3;
const NFT_CT_STATE = 0;
const NFT_CT_STATUS = 2;
const CT_STATE = { invalid: 1, new: 8 } as const;
const IPS_DST_NAT = 0x20;
const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F = { saddr: 1, daddr: 2 } as const;
const RTN_LOCAL = 2;
const NFT_NAT_DNAT = 1;
const NF_NAT_RANGE_PROTO_SPECIFIED = 2;
const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10;
const NFT_REJECT_ICMP_UNREACH = 0;
const ICMP_PORT_UNREACH = 3;
const ICMPV6_PORT_UNREACH = 4;
const NFT_LOOKUP_F_INV = 1;
const NFT_DYNSET_OP_UPDATE = 1;
const NFPROTO_OF = { 4: 2, 6: 10 } as const;
/** Registers of sixteen bytes, as nft numbers them: the second one is clear of any address in the first. */
const VERDICT_REGISTER = 0;
const SECOND_REGISTER = 2;

/** The rule as nft writes it, without its comment. */
export function ruleText({ statements }: NftRule): string {
  return statements.flatMap(({ text }) => (text === "" ? [] : [text])).join(" ");
}

/** `ct state new`. */
export function ctState(state: "new" | "invalid"): NftStatement {
  return {
    text: `ct state ${state}`,
    write(writer) {
      loadCt(writer, NFT_CT_STATE);
      anyBit(writer, CT_STATE[state]);
    },
  };
}

/** `ct status dnat`. */
export const ctStatusDnat: NftStatement = {
  text: "ct status dnat",
  write(writer) {
    loadCt(writer, NFT_CT_STATUS);
    anyBit(writer, IPS_DST_NAT);
  },
};

/** `meta l4proto tcp`. */
export function protocolIs(protocol: "tcp" | "udp" | "sctp"): NftStatement {
  return {
    text: `meta l4proto ${protocol}`,
    write(writer) {
      l4proto.load(writer, FIRST_REGISTER);
      compare(writer, NFT_CMP_EQ, Buffer.of(protocolNumber(protocol)));
    },
  };
}

/** `tcp dport 8080`; the rule has to match the protocol before. */
export function dportIs(protocol: "tcp" | "udp" | "sctp", port: number): NftStatement {
  return {
    text: `${protocol} dport ${port}`,
    write(writer) {
      dport(protocol).load(writer, FIRST_REGISTER);
      compare(writer, NFT_CMP_EQ, Buffer.of(port >> 8, port & 0xff));
    },
  };
}

/** `ip saddr 10.1.0.0/24`, `ip6 daddr != ::1`; nothing at all for a network that holds every address. */
export function addressIn(side: "saddr" | "daddr", cidr: Cidr, { not = false } = {}): NftStatement {
  const { family } = cidr.address;
  const whole = cidr.prefix === bitsOf(family);
  const text = whole ? formatAddress(cidr.address) : formatCidr(networkOf(cidr));
  if (cidr.prefix === 0) return { text: "", write: () => {} };
  return {
    text: `${family === 4 ? "ip" : "ip6"} ${side} ${not ? "!= " : ""}${text}`,
    write(writer) {
      const bytes = Buffer.from(addressBytes(firstOf(cidr)));
      const inBytes = cidr.prefix % 8 === 0 ? cidr.prefix / 8 : bytes.length;
      addressStart(family, side, inBytes)(writer, FIRST_REGISTER);
      if (cidr.prefix % 8 !== 0) mask(writer, maskOf(family, cidr.prefix), Buffer.alloc(bytes.length));
      compare(writer, not ? NFT_CMP_NEQ : NFT_CMP_EQ, bytes.subarray(0, inBytes));
    },
  };
}

/** `iifname "br0"`; with a `*` at its end all that begin so. */
export function interfaceIs(iifname: NftExpression, name: string): NftStatement {
  const prefix = name.endsWith("*") ? name.slice(0, -1) : undefined;
  return {
    text: `${iifname.text} "${name}"`,
    write(writer) {
      iifname.load(writer, FIRST_REGISTER);
      const bytes = Buffer.alloc(16);
      bytes.write(prefix ?? name);
      compare(writer, NFT_CMP_EQ, prefix === undefined ? bytes : Buffer.from(prefix));
    },
  };
}

/** `fib daddr type local`: it is an address of this host. */
export function isLocal(side: "saddr" | "daddr"): NftStatement {
  return {
    text: `fib ${side} type local`,
    write(writer) {
      expression(writer, "fib", () => {
        writer.attributeU32(1, FIRST_REGISTER);
        writer.attributeU32(2, NFT_FIB_RESULT_ADDRTYPE);
        writer.attributeU32(3, NFTA_FIB_F[side]);
      });
      const local = Buffer.alloc(4);
      local.writeUInt32LE(RTN_LOCAL);
      compare(writer, NFT_CMP_EQ, local);
    },
  };
}

/** `ip daddr . th dport @web`; with `not`, `!= @web`. */
export function inSet(key: readonly NftExpression[], set: string, { not = false } = {}): NftStatement {
  return {
    text: `${keyText(key)} ${not ? "!= " : ""}@${set}`,
    write(writer) {
      loadAll(writer, key);
      lookup(writer, set, not ? { flags: NFT_LOOKUP_F_INV } : {});
    },
  };
}

/** `ip daddr . th dport vmap @web`. */
export function vmap(key: readonly NftExpression[], map: string): NftStatement {
  return {
    text: `${keyText(key)} vmap @${map}`,
    write(writer) {
      loadAll(writer, key);
      lookup(writer, map, { to: VERDICT_REGISTER });
    },
  };
}

/** `dnat ip addr . port to KEY map @web`, where the map's values are addresses with ports. */
export function dnatByMap(family: Family, key: readonly NftExpression[], map: string): NftStatement {
  const portRegister = FIRST_REGISTER + registersOf(family === 4 ? "ipv4" : "ipv6");
  return {
    text: `dnat ${family === 4 ? "ip" : "ip6"} addr . port to ${keyText(key)} map @${map}`,
    write(writer) {
      loadAll(writer, key);
      lookup(writer, map, { to: FIRST_REGISTER });
      nat(writer, family, portRegister);
    },
  };
}

/** `dnat to KEY map @web : 8080`, where the map's values are addresses. */
export function dnatToPort(family: Family, key: readonly NftExpression[], map: string, port: number): NftStatement {
  return {
    text: `dnat to ${keyText(key)} map @${map} : ${port}`,
    write(writer) {
      loadAll(writer, key);
      lookup(writer, map, { to: FIRST_REGISTER });
      expression(writer, "immediate", () => {
        writer.attributeU32(1, SECOND_REGISTER);
        value(writer, 2, Buffer.of(port >> 8, port & 0xff));
      });
      nat(writer, family, SECOND_REGISTER, NF_NAT_RANGE_PROTO_SPECIFIED);
    },
  };
}

/** `update @web { ip saddr timeout 3h : ip daddr }`: as if it were the first time. */
export function update(map: string, key: NftExpression, seconds: number, data: NftExpression): NftStatement {
  return {
    text: `update @${map} { ${key.text} timeout ${seconds}s : ${data.text} }`,
    write(writer) {
      key.load(writer, FIRST_REGISTER);
      data.load(writer, SECOND_REGISTER);
      expression(writer, "dynset", () => {
        writer.attributeText(1, map);
        writer.attributeU32(3, NFT_DYNSET_OP_UPDATE);
        writer.attributeU32(4, FIRST_REGISTER);
        writer.attributeU32(5, SECOND_REGISTER);
        writer.attributeU64(6, seconds * 1000);
      });
    },
  };
}

/** `meta mark and BIT == BIT`. */
export function hasMark(bit: number): NftStatement {
  return {
    text: `meta mark & ${hex(bit)} == ${hex(bit)}`,
    write(writer) {
      loadMark(writer);
      mask(writer, host32(bit), host32(0));
      compare(writer, NFT_CMP_EQ, host32(bit));
    },
  };
}

/** `meta mark set meta mark or BIT`. */
export function setMark(bit: number): NftStatement {
  return { text: `meta mark set meta mark or ${hex(bit)}`, write: (writer) => changeMark(writer, ~bit >>> 0, bit) };
}

/** `meta mark set meta mark xor BIT`. */
export function flipMark(bit: number): NftStatement {
  return { text: `meta mark set meta mark xor ${hex(bit)}`, write: (writer) => changeMark(writer, 0xffffffff, bit) };
}

/** `masquerade fully-random`. */
export const masquerade: NftStatement = {
  text: "masquerade fully-random",
  write: (writer) => expression(writer, "masq", () => writer.attributeU32(1, NF_NAT_RANGE_PROTO_RANDOM_FULLY)),
};

/** `reject`: an ICMP error, port unreachable. */
export function reject(family: Family): NftStatement {
  return {
    text: "reject",
    write(writer) {
      expression(writer, "reject", () => {
        writer.attributeU32(1, NFT_REJECT_ICMP_UNREACH);
        writer.attributeU8(2, family === 4 ? ICMP_PORT_UNREACH : ICMPV6_PORT_UNREACH);
      });
    },
  };
}

/** `drop`, `return`, `accept`. */
export function verdict(word: "drop" | "return" | "accept"): NftStatement {
  return { text: word, write: (writer) => immediateVerdict(writer, word) };
}

/** `jump CHAIN`, `goto CHAIN`. */
export function to(word: "jump" | "goto", chain: string): NftStatement {
  return { text: `${word} ${chain}`, write: (writer) => immediateVerdict(writer, word, chain) };
}

/** Writes the attribute of a verdict: in a rule's expression, or as the value of an element. */
export function writeVerdict(writer: NfWriter, attribute: number, word: string, chain?: string): void {
  const data = writer.nest(attribute);
  const inner = writer.nest(NFTA_DATA_VERDICT);
  writeVerdictParts(writer, word, chain);
  writer.close(inner);
  writer.close(data);
}

/** What is within the attribute of a verdict: its code, its chain. */
export function writeVerdictParts(writer: NfWriter, word: string, chain?: string): void {
  writer.attributeU32(NFTA_VERDICT_CODE, (VERDICT[word] ?? 0) >>> 0);
  if (chain !== undefined) writer.attributeText(NFTA_VERDICT_CHAIN, chain);
}

/** The fields of a key as nft writes them. */
export function keyText(key: readonly NftExpression[]): string {
  return key.map(({ text }) => text).join(" . ");
}

function immediateVerdict(writer: NfWriter, word: string, chain?: string): void {
  expression(writer, "immediate", () => {
    writer.attributeU32(1, VERDICT_REGISTER);
    writeVerdict(writer, 2, word, chain);
  });
}

function lookup(writer: NfWriter, set: string, { to, flags }: { to?: number; flags?: number }): void {
  expression(writer, "lookup", () => {
    writer.attributeText(1, set);
    writer.attributeU32(2, FIRST_REGISTER);
    if (to !== undefined) writer.attributeU32(3, to);
    if (flags !== undefined) writer.attributeU32(5, flags);
  });
}

function nat(writer: NfWriter, family: Family, portRegister: number, flags?: number): void {
  expression(writer, "nat", () => {
    writer.attributeU32(1, NFT_NAT_DNAT);
    writer.attributeU32(2, NFPROTO_OF[family]);
    writer.attributeU32(3, FIRST_REGISTER);
    writer.attributeU32(5, portRegister);
    if (flags !== undefined) writer.attributeU32(7, flags);
  });
}

function loadCt(writer: NfWriter, key: number): void {
  expression(writer, "ct", () => {
    writer.attributeU32(1, FIRST_REGISTER);
    writer.attributeU32(2, key);
  });
}

function loadMark(writer: NfWriter): void {
  expression(writer, "meta", () => {
    writer.attributeU32(1, FIRST_REGISTER);
    writer.attributeU32(2, NFT_META_MARK);
  });
}

function changeMark(writer: NfWriter, keep: number, flip: number): void {
  loadMark(writer);
  mask(writer, host32(keep), host32(flip));
  expression(writer, "meta", () => {
    writer.attributeU32(2, NFT_META_MARK);
    writer.attributeU32(3, FIRST_REGISTER);
  });
}

function anyBit(writer: NfWriter, bit: number): void {
  mask(writer, host32(bit), host32(0));
  compare(writer, NFT_CMP_NEQ, host32(0));
}

function compare(writer: NfWriter, op: number, bytes: Buffer): void {
  expression(writer, "cmp", () => {
    writer.attributeU32(1, FIRST_REGISTER);
    writer.attributeU32(2, op);
    value(writer, 3, bytes);
  });
}

function mask(writer: NfWriter, keep: Buffer, flip: Buffer): void {
  expression(writer, "bitwise", () => {
    writer.attributeU32(1, FIRST_REGISTER);
    writer.attributeU32(2, FIRST_REGISTER);
    writer.attributeU32(3, keep.length);
    value(writer, 4, keep);
    value(writer, 5, flip);
  });
}

function value(writer: NfWriter, attribute: number, bytes: Buffer): void {
  const data = writer.nest(attribute);
  writer.attributeRaw(NFTA_DATA_VALUE, bytes);
  writer.close(data);
}

function maskOf(family: Family, prefix: number): Buffer {
  const bits = bitsOf(family);
  const value = ((1n << BigInt(prefix)) - 1n) << BigInt(bits - prefix);
  const address: Address = { family, value };
  return Buffer.from(addressBytes(address));
}

function host32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function hex(bit: number): string {
  return `0x${(bit >>> 0).toString(16).padStart(8, "0")}`;
}
