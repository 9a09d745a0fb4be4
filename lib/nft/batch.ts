/**
 * Transactions straight to the kernel, as one batch of nfnetlink messages: what a container changes where the table
 * is there already, and all removal. It takes the kernel 0.1 ms, and starting nft for it 2 ms of CPU.
 *
 * What needs nft's language, rules and declarations of sets, is left to nft; so is an element of a type that
 * fields.ts does not know: {@link sendBatch} says so before it touches anything.
 *
 * @module
 */
import type { Netns } from "../sys/netns.ts";
import { talkOnce } from "../sys/nfnetlink.ts";
import { NF_HEADER_BYTES } from "../sys/nfwriter.ts";
import { VERDICT } from "./constants.ts";
import { NftElementList } from "./elementlist.ts";
import { type RefusedPart, refusal } from "./errors.ts";
import { joinFields, rangesOf } from "./fields.ts";
import { NftBatch, type NftRefusal } from "./nftbatch.ts";
import type { NftElementSpec, NftElementType, PlainVerb } from "./specs.ts";

/**
 * Makes the change, whole or not at all. False, and nothing done, if an element is not known here.
 *
 * @throws TsnetError as {@link Nft.run} does.
 */
export function sendBatch(verbs: readonly PlainVerb[], netns?: Netns): boolean {
  const batch = new NftBatch();
  for (const verb of verbs) {
    if (!write(batch, verb)) return false;
  }
  const refused = batch.send({ talk: (written, last) => talkOnce(written, last, netns) });
  if (refused === undefined) return true;
  throw refusal(verbs[refused.number - 1]?.line ?? "batch", refused.errno, partOf(refused));
}

/** The first attributes are always the table's name and the name of what is in it. */
export function partOf({ message, offset }: NftRefusal): RefusedPart {
  if (offset === NF_HEADER_BYTES) return "table";
  const first = message.length > NF_HEADER_BYTES ? (message.readUInt16LE(NF_HEADER_BYTES) + 3) & ~3 : 0;
  return offset === NF_HEADER_BYTES + first ? "name" : "content";
}

/** Writes a verb as one message; false, and nothing, if it is about an element that is not known here. */
function write(batch: NftBatch, verb: PlainVerb): boolean {
  switch (verb.object) {
    case "table":
      if (verb.op === "delete") batch.deleteTable(verb);
      else batch.addTable(verb);
      return true;
    case "chain":
      if (verb.op === "flush") batch.flushChain({ ...verb, chain: verb.name });
      else batch.deleteChain({ ...verb, chain: verb.name });
      return true;
    case "rule":
      batch.deleteRule({ ...verb, chain: verb.name });
      return true;
    case "set":
      batch.deleteSet({ ...verb, set: verb.name });
      return true;
    case "element": {
      const parts = partsOf(verb.element, verb.op === "delete");
      if (parts === undefined) return false;
      const list = new NftElementList(batch, verb.op, { ...verb, set: verb.name });
      writeElement(list, parts);
      list.flush();
      return true;
    }
  }
}

interface ElementParts {
  readonly key: Buffer;
  readonly keyEnd?: Buffer;
  readonly value?: Buffer;
  readonly verdict?: readonly [word: string, chain?: string];
  readonly comment?: string;
}

function writeElement(list: NftElementList, { key, keyEnd, value, verdict, comment }: ElementParts): void {
  list.open();
  list.openKey();
  list.writer.raw(key);
  list.closeValue();
  if (keyEnd !== undefined) {
    list.openKeyEnd();
    list.writer.raw(keyEnd);
    list.closeValue();
  }
  if (value !== undefined) {
    list.openValue();
    list.writer.raw(value);
    list.closeValue();
  }
  if (verdict !== undefined) list.verdict(...verdict);
  if (comment !== undefined) list.comment(comment);
  list.close();
}

function partsOf(
  { key, value, comment, type }: NftElementSpec & { readonly type: NftElementType },
  keyOnly: boolean,
): ElementParts | undefined {
  const isInterval = type.flags?.includes("interval") === true;
  const ranges = rangesOf(type.key, key);
  // A set of plain intervals holds their ends as elements of their own, among which nft also looks for overlaps.
  if (ranges === undefined || (isInterval && ranges.length === 1)) return undefined;
  if (!isInterval && ranges.some(({ from, to }) => !from.equals(to))) return undefined;
  const keys = {
    key: joinFields(ranges.map(({ from }) => from)),
    ...(isInterval ? { keyEnd: joinFields(ranges.map(({ to }) => to)) } : {}),
  };
  if (keyOnly) return keys;
  const rest = comment === undefined ? keys : { ...keys, comment };
  if (value === undefined) return rest;
  if (type.value === "verdict") {
    const verdict = verdictOf(value);
    return verdict === undefined ? undefined : { ...rest, verdict };
  }
  const values = type.value === undefined ? undefined : rangesOf(type.value, value);
  if (values === undefined || values.some(({ from, to }) => !from.equals(to))) return undefined;
  return { ...rest, value: joinFields(values.map(({ from }) => from)) };
}

function verdictOf(text: string): readonly [string, string?] | undefined {
  const [word = "", chain] = text.split(" ");
  if (VERDICT[word] === undefined || (chain === undefined) === (word === "jump" || word === "goto")) return undefined;
  return chain === undefined ? [word] : [word, chain];
}
