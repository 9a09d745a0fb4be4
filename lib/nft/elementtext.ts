/**
 * Elements as nft writes them, from the bytes that the kernel has: for whoever reads an error or a report.
 *
 * @module
 */

import type { TsnetError } from "../errors.ts";
import { addressFromBytes, formatAddress } from "../net/address.ts";
import { NF_HEADER_BYTES } from "../sys/nfwriter.ts";
import { partOf } from "./batch.ts";
import {
  IPPROTO,
  NFNL_SUBSYS_NFTABLES,
  NFPROTO,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
} from "./constants.ts";
import { refusal } from "./errors.ts";
import { FIELDS, type NftExpression, type NftFieldKind } from "./expressions.ts";
import type { NftRefusal } from "./nftbatch.ts";
import { elementAt, type NftElementView, verdictText } from "./reading.ts";
import type { NftSetType } from "./settype.ts";

/** `10.96.0.1 . tcp . 80 : goto web`. */
export function elementText(type: NftSetType, view: NftElementView): string {
  const bytes = Buffer.from(view.bytes.buffer, view.bytes.byteOffset, view.bytes.byteLength);
  const key = fieldsText(type.key, bytes.subarray(view.key, view.key + view.keyLength));
  const last =
    view.keyEndLength === 0 ? key : fieldsText(type.key, bytes.subarray(view.keyEnd, view.keyEnd + view.keyEndLength));
  const keys = key.map((field, i) => (field === last[i] ? field : `${field}-${last[i]}`)).join(" . ");
  if (type.value === undefined || view.valueLength === 0) return keys;
  const value = bytes.subarray(view.value, view.value + view.valueLength);
  return `${keys} : ${type.value === "verdict" ? verdictText(value) : fieldsText(type.value, value).join(" . ")}`;
}

function fieldsText(fields: readonly NftExpression[], bytes: Buffer): readonly string[] {
  let at = 0;
  return fields.map(({ kind }) => {
    const field = bytes.subarray(at, at + FIELDS[kind].bytes);
    at += (FIELDS[kind].bytes + 3) & ~3;
    return fieldText(kind, field);
  });
}

function fieldText(kind: NftFieldKind, bytes: Buffer): string {
  switch (kind) {
    case "ipv4":
    case "ipv6":
      return formatAddress(addressFromBytes(bytes));
    case "port":
      return String(bytes.readUInt16BE(0));
    case "number":
      return String(bytes.readUInt32LE(0));
    case "protocol":
      return PROTOCOLS.get(bytes[0] ?? 0) ?? String(bytes[0]);
    case "name":
      return `"${bytes.toString("utf8").replace(/\0.*$/s, "")}"`;
  }
}

const PROTOCOLS = new Map(Object.entries(IPPROTO).map(([name, number]) => [number, name]));

const VERBS: ReadonlyMap<number, string> = new Map([
  [NFT_MSG_NEWTABLE, "add table"],
  [NFT_MSG_DELTABLE, "delete table"],
  [NFT_MSG_NEWCHAIN, "add chain"],
  [NFT_MSG_DELCHAIN, "delete chain"],
  [NFT_MSG_NEWRULE, "add rule"],
  [NFT_MSG_DELRULE, "delete rule"],
  [NFT_MSG_NEWSET, "add set"],
  [NFT_MSG_DELSET, "delete set"],
  [NFT_MSG_NEWSETELEM, "add element"],
  [NFT_MSG_DELSETELEM, "delete element"],
]);

/** What the kernel refused, as an error that names the verb and, of many elements, the very one. */
export function refusalError(refused: NftRefusal, typeOf: (set: string) => NftSetType | undefined): TsnetError {
  return refusal(lineOf(refused, typeOf), refused.errno, partOf(refused));
}

function lineOf({ message, offset }: NftRefusal, typeOf: (set: string) => NftSetType | undefined): string {
  if (message.length < NF_HEADER_BYTES) return "batch";
  const number = message.readUInt16LE(4);
  if (number >> 8 !== NFNL_SUBSYS_NFTABLES) return "batch";
  const family = Object.entries(NFPROTO).find(([, value]) => value === message[16])?.[0] ?? "";
  const table = nameAt(message, NF_HEADER_BYTES);
  const verb = VERBS.get(number & 0xff) ?? "";
  const second = NF_HEADER_BYTES + lengthAt(message, NF_HEADER_BYTES);
  if (verb.endsWith("table") || second + 4 > message.length) return `${verb} ${family} ${table}`;
  const name = nameAt(message, second);
  const type = verb.endsWith("element") ? typeOf(name) : undefined;
  const view =
    type === undefined || offset === undefined || offset + 8 > message.length ? undefined : elementAt(message, offset);
  const element = type === undefined || view === undefined ? "" : ` { ${elementText(type, view)} }`;
  return `${verb} ${family} ${table} ${name}${element}`;
}

function nameAt(message: Buffer, at: number): string {
  return message.toString("utf8", at + 4, at + Math.max(message.readUInt16LE(at) - 1, 4));
}

function lengthAt(message: Buffer, at: number): number {
  return (message.readUInt16LE(at) + 3) & ~3;
}
