/**
 * Looks into one table by asking the kernel for it by name: nobody else's is read. Dumps are streams, as a table of
 * service rules has hundreds of thousands of elements.
 *
 * @module
 */
import { hasErrno } from "../errors.ts";
import type { NfSocket } from "../sys/nfsocket.ts";
import { NF_HEADER_BYTES, NfWriter } from "../sys/nfwriter.ts";
import {
  NFNL_SUBSYS_NFTABLES,
  NFPROTO,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETRULE,
  NFT_MSG_GETSET,
  NFT_MSG_GETSETELEM,
  NFT_MSG_GETTABLE,
  NFTA_CHAIN_HOOK,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_POLICY,
  NFTA_CHAIN_TABLE,
  NFTA_CHAIN_TYPE,
  NFTA_DATA_VALUE,
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
  NFTA_LIST_ELEM,
  NFTA_RULE_CHAIN,
  NFTA_RULE_HANDLE,
  NFTA_RULE_TABLE,
  NFTA_SET_COUNT,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_KEY_END,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_NAME,
  NFTA_SET_TABLE,
  NFTA_TABLE_NAME,
  NFTA_TABLE_USERDATA,
  NFTNL_UDATA_COMMENT,
} from "./constants.ts";
import type { NftSetName, NftTableName } from "./specs.ts";

const NLM_F_DUMP = 0x300;
const NLA_TYPE_MASK = 0x3fff;

/** An element where it lies: the next one takes its place. Lengths of 0: there is none. */
export interface NftElementView {
  readonly bytes: Uint8Array;
  readonly key: number;
  readonly keyLength: number;
  readonly keyEnd: number;
  readonly keyEndLength: number;
  /** The value, or what a verdict is made of: its code and its chain, as they are written. */
  readonly value: number;
  readonly valueLength: number;
}

type View = { -readonly [Name in keyof NftElementView]: NftElementView[Name] };

/** The comment of a table, empty if it has none; undefined if there is no such table. */
export function readTable(socket: NfSocket, { family, table }: NftTableName): string | undefined {
  const request = begin(NFT_MSG_GETTABLE, 0, family);
  request.attributeText(NFTA_TABLE_NAME, table);
  try {
    for (const message of socket.ask(end(request))) return commentOf(message);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
  return undefined;
}

/** The chain and the handle of every rule of a table, in order; none if there is no such table. */
export function* readRules(
  socket: NfSocket,
  { family, table }: NftTableName,
): Generator<{ readonly chain: string; readonly handle: bigint }, void> {
  const request = begin(NFT_MSG_GETRULE, NLM_F_DUMP, family);
  request.attributeText(NFTA_RULE_TABLE, table);
  for (const message of askAbsent(socket, request)) {
    let chain = "";
    let handle = 0n;
    for (const { type, at, length } of attributesOf(message, NF_HEADER_BYTES, message.length)) {
      if (type === NFTA_RULE_CHAIN) chain = textAt(message, at, length);
      else if (type === NFTA_RULE_HANDLE) handle = message.readBigUInt64BE(at);
    }
    yield { chain, handle };
  }
}

/** The base chains of all tables of the namespace. */
export function* readBaseChains(socket: NfSocket): Generator<NftBaseChainView, void> {
  const request = new NfWriter(64);
  request.begin({ type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN, flags: NLM_F_DUMP, sequence: 1, family: 0 });
  for (const message of socket.ask(end(request))) {
    const hook = find(message, NF_HEADER_BYTES, message.length, NFTA_CHAIN_HOOK);
    if (hook === undefined) continue;
    const stop = hook.at + hook.length;
    const number = (wanted: number, start = NF_HEADER_BYTES, end = message.length) => {
      const found = find(message, start, end, wanted);
      return found === undefined ? undefined : message.readInt32BE(found.at);
    };
    const text = (wanted: number) => {
      const found = find(message, NF_HEADER_BYTES, message.length, wanted);
      return found === undefined ? "" : textAt(message, found.at, found.length);
    };
    yield {
      // struct nfgenmsg behind struct nlmsghdr.
      family: message.readUInt8(16),
      table: text(NFTA_CHAIN_TABLE),
      chain: text(NFTA_CHAIN_NAME),
      type: text(NFTA_CHAIN_TYPE),
      hook: number(NFTA_HOOK_HOOKNUM, hook.at, stop) ?? -1,
      priority: number(NFTA_HOOK_PRIORITY, hook.at, stop) ?? 0,
      policy: number(NFTA_CHAIN_POLICY),
    };
  }
}

/** A base chain in the kernel's own numbers. */
export interface NftBaseChainView {
  readonly family: number;
  readonly table: string;
  readonly chain: string;
  readonly type: string;
  readonly hook: number;
  readonly priority: number;
  readonly policy: number | undefined;
}

/** The sets and maps of a table, and how many elements each has where the kernel tells; none if there is no such table. */
export function* readSets(
  socket: NfSocket,
  { family, table }: NftTableName,
): Generator<{ readonly set: string; readonly count: number | undefined }, void> {
  const request = begin(NFT_MSG_GETSET, NLM_F_DUMP, family);
  request.attributeText(NFTA_SET_TABLE, table);
  for (const message of askAbsent(socket, request)) {
    let set = "";
    let count: number | undefined;
    for (const { type, at, length } of attributesOf(message, NF_HEADER_BYTES, message.length)) {
      if (type === NFTA_SET_NAME) set = textAt(message, at, length);
      else if (type === NFTA_SET_COUNT) count = message.readUInt32BE(at);
    }
    yield { set, count };
  }
}

/**
 * The elements of a set, a message's worth at a time for {@link visitElements}. `key` writes the key of one that alone
 * is wanted, fields only.
 *
 * @throws TsnetError `not-found` if there is no such set, or not the element.
 */
export function* readElements(
  socket: NfSocket,
  { family, table, set }: NftSetName,
  key?: (writer: NfWriter) => void,
): Generator<Buffer, void> {
  const request = begin(NFT_MSG_GETSETELEM, key === undefined ? NLM_F_DUMP : 0, family);
  request.attributeText(NFTA_SET_ELEM_LIST_TABLE, table);
  request.attributeText(NFTA_SET_ELEM_LIST_SET, set);
  if (key !== undefined) writeKey(request, key);
  yield* socket.ask(end(request));
}

/** Calls `visit` for each element of a message. */
export function visitElements(message: Buffer, visit: (view: NftElementView) => void): void {
  const list = find(message, NF_HEADER_BYTES, message.length, NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list === undefined) return;
  const view = emptyView();
  const stop = list.at + list.length;
  for (let at = list.at; at + 4 <= stop; at += padded(message, at)) {
    parseElement(view, message, at);
    visit(view);
  }
}

/** The element that the attribute at `at` of a message is. */
export function elementAt(message: Buffer, at: number): NftElementView {
  const view = emptyView();
  parseElement(view, message, at);
  return view;
}

function emptyView(): View {
  return { bytes: EMPTY, key: 0, keyLength: 0, keyEnd: 0, keyEndLength: 0, value: 0, valueLength: 0 };
}

const EMPTY = Buffer.alloc(0);

function parseElement(view: View, bytes: Buffer, element: number): void {
  const stop = element + bytes.readUInt16LE(element);
  view.bytes = bytes;
  view.keyLength = view.keyEndLength = view.valueLength = 0;
  for (let at = element + 4; at + 4 <= stop; at += padded(bytes, at)) {
    const type = bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    // Each of the three holds one attribute, of a value or of a verdict.
    if (type === NFTA_SET_ELEM_KEY) {
      view.key = at + 8;
      view.keyLength = bytes.readUInt16LE(at + 4) - 4;
    } else if (type === NFTA_SET_ELEM_KEY_END) {
      view.keyEnd = at + 8;
      view.keyEndLength = bytes.readUInt16LE(at + 4) - 4;
    } else if (type === NFTA_SET_ELEM_DATA) {
      view.value = at + 8;
      view.valueLength = bytes.readUInt16LE(at + 4) - 4;
    }
  }
}

function writeKey(request: NfWriter, key: (writer: NfWriter) => void): void {
  const list = request.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
  const element = request.nest(NFTA_LIST_ELEM);
  const outer = request.nest(NFTA_SET_ELEM_KEY);
  const inner = request.open(NFTA_DATA_VALUE);
  key(request);
  for (const at of [inner, outer, element, list]) request.close(at);
}

function begin(message: number, flags: number, family: NftTableName["family"]): NfWriter {
  const writer = new NfWriter(256);
  writer.begin({ type: (NFNL_SUBSYS_NFTABLES << 8) | message, flags, sequence: 1, family: NFPROTO[family] });
  return writer;
}

function end(writer: NfWriter): Buffer {
  writer.end();
  return writer.written();
}

/** The answers; none if the table is not there. */
function* askAbsent(socket: NfSocket, request: NfWriter): Generator<Buffer, void> {
  try {
    yield* socket.ask(end(request));
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
}

interface Attribute {
  readonly type: number;
  readonly at: number;
  readonly length: number;
}

function* attributesOf(bytes: Buffer, start: number, stop: number): Generator<Attribute, void> {
  for (let at = start; at + 4 <= stop; at += padded(bytes, at)) {
    yield { type: bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, at: at + 4, length: bytes.readUInt16LE(at) - 4 };
  }
}

function find(bytes: Buffer, start: number, stop: number, wanted: number): Attribute | undefined {
  for (const attribute of attributesOf(bytes, start, stop)) if (attribute.type === wanted) return attribute;
  return undefined;
}

function padded(bytes: Buffer, at: number): number {
  return Math.max((bytes.readUInt16LE(at) + 3) & ~3, 4);
}

function textAt(bytes: Buffer, at: number, length: number): string {
  return bytes.toString("utf8", at, at + length - 1);
}

function commentOf(message: Buffer): string {
  const data = find(message, NF_HEADER_BYTES, message.length, NFTA_TABLE_USERDATA);
  if (data === undefined || message[data.at] !== NFTNL_UDATA_COMMENT) return "";
  return textAt(message, data.at + 2, message[data.at + 1] ?? 1);
}

/** A verdict in {@link NftElementView.value} as nft writes it: `goto web`. */
export function verdictText(bytes: Buffer): string {
  const code = find(bytes, 0, bytes.length, 1);
  const chain = find(bytes, 0, bytes.length, 2);
  const number = code === undefined ? 0 : bytes.readInt32BE(code.at);
  const word = WORDS.get(number) ?? String(number);
  return chain === undefined ? word : `${word} ${textAt(bytes, chain.at, chain.length)}`;
}

const WORDS: ReadonlyMap<number, string> = new Map([
  [0, "drop"],
  [1, "accept"],
  [-3, "jump"],
  [-4, "goto"],
  [-5, "return"],
]);
