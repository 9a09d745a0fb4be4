/**
 * Transactions straight to the kernel, as one batch of nfnetlink messages: what a container changes where the table
 * is there already, and all removal. It takes the kernel 0.1 ms, and starting nft for it 2 ms of CPU.
 *
 * What needs nft's language, rules and declarations of sets, is left to nft; so is an element of a type that
 * fields.ts does not know: {@link sendBatch} says so before it touches anything.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { Netns } from "../sys/netns.ts";
import {
  attribute,
  bytes32,
  bytes64,
  NF_HEADER_BYTES,
  type NfMessage,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  nested,
  talkToNetfilter,
  zeroTerminated,
} from "../sys/nfnetlink.ts";
import { nftComment } from "./comment.ts";
import { type RefusedPart, refusal } from "./errors.ts";
import { joinFields, rangesOf } from "./fields.ts";
import type { NftElementSpec, NftElementType, NftFamily, PlainVerb } from "./specs.ts";

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h, linux/netfilter.h
const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_DELCHAIN = 5;
const NFT_MSG_DELRULE = 8;
const NFT_MSG_DELSET = 11;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_DELSETELEM = 14;
const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_SET_TABLE = 1;
const NFTA_SET_NAME = 2;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_LIST_ELEM = 1;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_SET_ELEM_USERDATA = 6;
const NFTA_SET_ELEM_KEY_END = 10;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
/** A comment among a set element's user data; libnftnl/udata.h. */
const NFTNL_UDATA_SET_ELEM_COMMENT = 0;
const NFPROTO: Readonly<Record<NftFamily, number>> = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 };
const VERDICT: Readonly<Record<string, number>> = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 };

/**
 * Makes the change, whole or not at all. False, and nothing done, if an element is not known here.
 *
 * @throws TsnetError as {@link Nft.run} does.
 */
export function sendBatch(verbs: readonly PlainVerb[], netns?: Netns): boolean {
  const messages: NfMessage[] = [];
  for (const verb of verbs) {
    const body = bodyOf(verb);
    if (body === undefined) return false;
    // The last ACK tells that all was read; an error is answered unasked.
    const ack = messages.length === verbs.length - 1 ? NLM_F_ACK : 0;
    const type = (NFNL_SUBSYS_NFTABLES << 8) | body.message;
    const { attributes, flags = 0 } = body;
    const sequence = messages.length + 1;
    messages.push({ type, flags: flags | ack, sequence, family: NFPROTO[verb.family], attributes });
  }
  const border = { flags: 0, family: 0, resource: NFNL_SUBSYS_NFTABLES, attributes: [] };
  const begin = { ...border, type: NFNL_MSG_BATCH_BEGIN, sequence: 0 };
  const end = { ...border, type: NFNL_MSG_BATCH_END, sequence: messages.length + 1 };
  const answers = talkToNetfilter([begin, ...messages, end], netns);
  for (const { sequence, errno, offset } of answers) {
    if (errno === undefined) continue;
    throw refusal(verbs[sequence - 1]?.line ?? "batch", errno, partAt(messages[sequence - 1], offset));
  }
  if (!answers.some(({ sequence }) => sequence === messages.length)) {
    throw new TsnetError("nft: the kernel did not answer", { code: "io", op: "nft" });
  }
  return true;
}

/** The first attributes are always the table's name and the name of what is in it. */
function partAt(message: NfMessage | undefined, offset: number | undefined): RefusedPart {
  const name = NF_HEADER_BYTES + (message?.attributes[0]?.length ?? 0);
  if (offset === NF_HEADER_BYTES) return "table";
  return offset === name ? "name" : "content";
}

interface Body {
  readonly message: number;
  readonly flags?: number;
  readonly attributes: readonly Buffer[];
}

function bodyOf(verb: PlainVerb): Body | undefined {
  const table = zeroTerminated(verb.table);
  switch (verb.object) {
    case "table": {
      const attributes = [attribute(NFTA_TABLE_NAME, table)];
      if (verb.op === "delete") return { message: NFT_MSG_DELTABLE, attributes };
      return { message: NFT_MSG_NEWTABLE, flags: NLM_F_CREATE, attributes };
    }
    case "chain": {
      const name = zeroTerminated(verb.name);
      if (verb.op === "flush") return { message: NFT_MSG_DELRULE, attributes: ruleAttributes(table, name) };
      const attributes = [attribute(NFTA_CHAIN_TABLE, table), attribute(NFTA_CHAIN_NAME, name)];
      return { message: NFT_MSG_DELCHAIN, attributes };
    }
    case "rule": {
      const handle = attribute(NFTA_RULE_HANDLE, bytes64(verb.handle));
      return {
        message: NFT_MSG_DELRULE,
        attributes: [...ruleAttributes(table, zeroTerminated(verb.name)), handle],
      };
    }
    case "set": {
      const attributes = [attribute(NFTA_SET_TABLE, table), attribute(NFTA_SET_NAME, zeroTerminated(verb.name))];
      return { message: NFT_MSG_DELSET, attributes };
    }
    case "element": {
      const element = elementAttributes(verb.element, verb.op === "delete");
      if (element === undefined) return undefined;
      return {
        message: verb.op === "delete" ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM,
        flags: { add: NLM_F_CREATE, create: NLM_F_CREATE | NLM_F_EXCL, delete: 0 }[verb.op],
        attributes: [
          attribute(NFTA_SET_ELEM_LIST_TABLE, table),
          attribute(NFTA_SET_ELEM_LIST_SET, zeroTerminated(verb.name)),
          nested(NFTA_SET_ELEM_LIST_ELEMENTS, [nested(NFTA_LIST_ELEM, element)]),
        ],
      };
    }
  }
}

function ruleAttributes(table: Buffer, chain: Buffer): readonly Buffer[] {
  return [attribute(NFTA_RULE_TABLE, table), attribute(NFTA_RULE_CHAIN, chain)];
}

function elementAttributes(
  { key, value, comment, type }: NftElementSpec & { readonly type: NftElementType },
  keyOnly: boolean,
): readonly Buffer[] | undefined {
  const isInterval = type.flags?.includes("interval") === true;
  const ranges = rangesOf(type.key, key);
  // A set of plain intervals holds their ends as elements of their own, among which nft also looks for overlaps.
  if (ranges === undefined || (isInterval && ranges.length === 1)) return undefined;
  if (!isInterval && ranges.some(({ from, to }) => !from.equals(to))) return undefined;
  const attributes = [nested(NFTA_SET_ELEM_KEY, [valueAttribute(ranges.map((range) => range.from))])];
  if (isInterval) attributes.push(nested(NFTA_SET_ELEM_KEY_END, [valueAttribute(ranges.map((range) => range.to))]));
  if (!keyOnly && value !== undefined) {
    const data = dataOf(type.value, value);
    if (data === undefined) return undefined;
    attributes.push(nested(NFTA_SET_ELEM_DATA, [data]));
  }
  if (!keyOnly && comment !== undefined) {
    const text = zeroTerminated(nftComment(comment));
    const userData = Buffer.concat([Buffer.of(NFTNL_UDATA_SET_ELEM_COMMENT, text.length), text]);
    attributes.push(attribute(NFTA_SET_ELEM_USERDATA, userData));
  }
  return attributes;
}

function dataOf(type: string | undefined, value: string): Buffer | undefined {
  if (type === "verdict") return verdictOf(value);
  const ranges = type === undefined ? undefined : rangesOf(type, value);
  if (ranges === undefined || ranges.some(({ from, to }) => !from.equals(to))) return undefined;
  return valueAttribute(ranges.map((range) => range.from));
}

function verdictOf(text: string): Buffer | undefined {
  const [word = "", chain] = text.split(" ");
  const code = VERDICT[word];
  if (code === undefined || (chain === undefined) === (word === "jump" || word === "goto")) return undefined;
  const attributes = [attribute(NFTA_VERDICT_CODE, bytes32(code >>> 0))];
  if (chain !== undefined) attributes.push(attribute(NFTA_VERDICT_CHAIN, zeroTerminated(chain)));
  return nested(NFTA_DATA_VERDICT, attributes);
}

function valueAttribute(fields: readonly Buffer[]): Buffer {
  return attribute(NFTA_DATA_VALUE, joinFields(fields));
}
