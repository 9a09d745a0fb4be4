/**
 * What a rule does with a packet.
 *
 * @module
 */
import { type Address, addressBytes, type Family, formatAddress } from "../net/address.ts";
import type { NfWriter } from "../sys/nfwriter.ts";
import { NFTA_DATA_VERDICT, NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE, VERDICT } from "./constants.ts";
import { expression, FIRST_REGISTER, loadAll, type NftExpression, registersOf } from "./expressions.ts";
import { host32, loadMark, lookup, mask, storeMark, value } from "./registers.ts";
import { keyText, markText, type NftStatement } from "./rule.ts";

// linux/netfilter/nf_tables.h, nf_nat.h, linux/icmp.h, linux/icmpv6.h
const NFT_NAT_DNAT = 1;
const NF_NAT_RANGE_PROTO_SPECIFIED = 2;
const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10;
const NFT_REJECT_ICMP_UNREACH = 0;
const ICMP_PORT_UNREACH = 3;
const ICMPV6_PORT_UNREACH = 4;
const NFT_DYNSET_OP_UPDATE = 1;
const NFPROTO_OF = { 4: 2, 6: 10 } as const;
/** Registers of sixteen bytes, as nft numbers them: the second one is clear of any address in the first. */
const VERDICT_REGISTER = 0;
const SECOND_REGISTER = 2;

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

/** `dnat to 127.0.0.11:5353`. */
export function dnatTo(address: Address, port: number): NftStatement {
  return {
    text: `dnat to ${address.family === 4 ? formatAddress(address) : `[${formatAddress(address)}]`}:${port}`,
    write(writer) {
      expression(writer, "immediate", () => {
        writer.attributeU32(1, FIRST_REGISTER);
        value(writer, 2, Buffer.from(addressBytes(address)));
      });
      expression(writer, "immediate", () => {
        writer.attributeU32(1, SECOND_REGISTER);
        value(writer, 2, Buffer.of(port >> 8, port & 0xff));
      });
      nat(writer, address.family, SECOND_REGISTER, NF_NAT_RANGE_PROTO_SPECIFIED);
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

/** `meta mark set meta mark or BIT`. */
export function setMark(bit: number): NftStatement {
  return {
    text: `meta mark set meta mark or ${markText(bit)}`,
    write: (writer) => changeMark(writer, ~bit >>> 0, bit),
  };
}

/** `meta mark set meta mark xor BIT`. */
export function flipMark(bit: number): NftStatement {
  return {
    text: `meta mark set meta mark xor ${markText(bit)}`,
    write: (writer) => changeMark(writer, 0xffffffff, bit),
  };
}

/** `masquerade fully-random`. */
export const masquerade: NftStatement = {
  text: "masquerade fully-random",
  write: (writer) => expression(writer, "masq", () => writer.attributeU32(1, NF_NAT_RANGE_PROTO_RANDOM_FULLY)),
};

/** `masquerade`: from the port that the sender chose, where it is free. */
export const masqueradeSamePort: NftStatement = {
  text: "masquerade",
  write: (writer) => expression(writer, "masq", () => {}),
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

function immediateVerdict(writer: NfWriter, word: string, chain?: string): void {
  expression(writer, "immediate", () => {
    writer.attributeU32(1, VERDICT_REGISTER);
    writeVerdict(writer, 2, word, chain);
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

function changeMark(writer: NfWriter, keep: number, flip: number): void {
  loadMark(writer);
  mask(writer, host32(keep), host32(flip));
  storeMark(writer);
}
