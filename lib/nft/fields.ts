/**
 * Keys and values of elements from the text that nft would read to the bytes that the kernel compares. The types
 * are the expressions that a set was declared by.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import { addressBytes, parseAddress } from "../net/address.ts";
import { firstOf, lastOf, parseCidr } from "../net/cidr.ts";
import { bytes16 } from "../sys/nfnetlink.ts";

// linux/in.h, linux/if.h
const IPPROTO: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };
const IFNAMSIZ = 16;

/** A value of one field, or the first and the last of a range. */
export interface Range {
  readonly from: Buffer;
  readonly to: Buffer;
}

/** The fields of a key of the type `ip saddr . tcp dport`; undefined if one of them is of a type not known here. */
export function rangesOf(type: string, key: string): readonly Range[] | undefined {
  const [types, texts] = [type.split(" . "), key.split(" . ")];
  if (types.length !== texts.length) return undefined;
  const ranges = texts.flatMap((text, index) => rangeOf(types[index] ?? "", text) ?? []);
  return ranges.length === texts.length ? ranges : undefined;
}

function rangeOf(type: string, text: string): Range | undefined {
  const one = (bytes: Buffer): Range => ({ from: bytes, to: bytes });
  if (/^ip6? [sd]addr$/.test(type)) return addressRange(type.startsWith("ip6") ? 6 : 4, text);
  if (/^(?:th|tcp|udp|sctp) [sd]port$/.test(type)) return /^\d+$/.test(text) ? one(bytes16(Number(text))) : undefined;
  if (type === "meta l4proto") {
    const number = IPPROTO[text];
    return number === undefined ? undefined : one(Buffer.of(number));
  }
  if (/^(?:meta )?[io]ifname$/.test(type)) {
    const [, name] = /^"([^"*]{1,15})"$/.exec(text) ?? [];
    return name === undefined ? undefined : one(Buffer.concat([Buffer.from(name), Buffer.alloc(IFNAMSIZ)], IFNAMSIZ));
  }
  return undefined;
}

function addressRange(family: 4 | 6, text: string): Range | undefined {
  try {
    const cidr = text.includes("/")
      ? parseCidr(text)
      : { address: parseAddress(text), prefix: family === 4 ? 32 : 128 };
    if (cidr.address.family !== family) return undefined;
    return { from: Buffer.from(addressBytes(firstOf(cidr))), to: Buffer.from(addressBytes(lastOf(cidr))) };
  } catch (error) {
    // nft may know what it means, or says what is wrong with it.
    if (isTsnetError(error, "invalid")) return undefined;
    throw error;
  }
}

/** Fields of a concatenation begin at multiples of four bytes, as registers do; a single field is as it is. */
export function joinFields(fields: readonly Buffer[]): Buffer {
  const [only] = fields;
  if (fields.length === 1 && only !== undefined) return only;
  return Buffer.concat(fields.flatMap((field) => [field, Buffer.alloc((4 - (field.length % 4)) % 4)]));
}
