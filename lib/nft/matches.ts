/**
 * What a rule asks of a packet.
 *
 * @module
 */
import { type Address, addressBytes, bitsOf, type Family, formatAddress } from "../net/address.ts";
import { type Cidr, firstOf, formatCidr, networkOf } from "../net/cidr.ts";
import type { NfWriter } from "../sys/nfwriter.ts";
import {
  addressStart,
  dport,
  expression,
  FIRST_REGISTER,
  iifname,
  l4proto,
  loadAll,
  type NftExpression,
  protocolNumber,
} from "./expressions.ts";
import { compare, host32, loadMark, lookup, mask, NFT_CMP_EQ, NFT_CMP_NEQ } from "./registers.ts";
import { keyText, markText, type NftStatement } from "./rule.ts";

// linux/netfilter/nf_tables.h, nf_conntrack_common.h, linux/rtnetlink.h
const NFT_CT_STATE = 0;
const NFT_CT_STATUS = 2;
const CT_STATE = { invalid: 1, new: 8 } as const;
const IPS_DST_NAT = 0x20;
const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F = { saddr: 1, daddr: 2 } as const;
const RTN_LOCAL = 2;
const NFT_LOOKUP_F_INV = 1;

/** `ct state new`. */
export function ctState(state: "new" | "invalid"): NftStatement {
  return {
    text: `ct state ${state}`,
    write(writer) {
      loadCt(writer, NFT_CT_STATE);
      mask(writer, host32(CT_STATE[state]), host32(0));
      compare(writer, NFT_CMP_NEQ, host32(0));
    },
  };
}

/** `ct status dnat`; with `not`, `ct status ! dnat`. */
export function isDnat({ not = false } = {}): NftStatement {
  return {
    text: `ct status ${not ? "! " : ""}dnat`,
    write(writer) {
      loadCt(writer, NFT_CT_STATUS);
      mask(writer, host32(IPS_DST_NAT), host32(0));
      compare(writer, not ? NFT_CMP_EQ : NFT_CMP_NEQ, host32(0));
    },
  };
}

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
export function interfaceIs(name: string): NftStatement {
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

/** `meta mark and BIT == BIT`. */
export function hasMark(bit: number): NftStatement {
  return {
    text: `meta mark & ${markText(bit)} == ${markText(bit)}`,
    write(writer) {
      loadMark(writer);
      mask(writer, host32(bit), host32(0));
      compare(writer, NFT_CMP_EQ, host32(bit));
    },
  };
}

function loadCt(writer: NfWriter, key: number): void {
  expression(writer, "ct", () => {
    writer.attributeU32(1, FIRST_REGISTER);
    writer.attributeU32(2, key);
  });
}

function maskOf(family: Family, prefix: number): Buffer {
  const bits = bitsOf(family);
  const value = ((1n << BigInt(prefix)) - 1n) << BigInt(bits - prefix);
  const address: Address = { family, value };
  return Buffer.from(addressBytes(address));
}
