/**
 * One transaction, written as the messages that the kernel reads: any number of elements in one datagram, which it
 * takes whole or not at all. Objects that stand for elements are never made: a field is written where it belongs.
 *
 *     batch.openElement("add", SERVICES);
 *     batch.openKey(); batch.writer.ipv4("10.96.0.1"); ... batch.closeKey();
 *     batch.goTo("pick-4"); batch.closeElement();
 *     batch.commit(socket);
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, type NfAnswer } from "../sys/nfnetlink.ts";
import { NfWriter } from "../sys/nfwriter.ts";
import { nftComment } from "./comment.ts";
import {
  NF_HOOK,
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
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
  NFTA_CHAIN_HOOK,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_POLICY,
  NFTA_CHAIN_TABLE,
  NFTA_CHAIN_TYPE,
  NFTA_CHAIN_USERDATA,
  NFTA_DATA_VALUE,
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
  NFTA_LIST_ELEM,
  NFTA_RULE_CHAIN,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_HANDLE,
  NFTA_RULE_TABLE,
  NFTA_RULE_USERDATA,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_KEY_END,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_ELEM_USERDATA,
  NFTA_SET_ID,
  NFTA_SET_NAME,
  NFTA_SET_TABLE,
  NFTA_TABLE_FLAGS,
  NFTA_TABLE_NAME,
  NFTA_TABLE_USERDATA,
  NFTNL_UDATA_COMMENT,
} from "./constants.ts";
import { type NftSetType, writeSetType } from "./settype.ts";
import type { NftChainName, NftHook, NftSetName, NftTableName } from "./specs.ts";
import { type NftRule, writeVerdict } from "./statements.ts";

export type ElementVerb = "add" | "create" | "delete";

// Where an attribute's length has 16 bits, and the longest element far fewer than the rest.
const LIST_BYTES = 60_000;
const ACCEPT = 1;
const FLAGS: Readonly<Record<ElementVerb, number>> = { add: NLM_F_CREATE, create: NLM_F_CREATE | NLM_F_EXCL, delete: 0 };

/** What a batch goes through: a socket that stays open. */
export interface NftDoor {
  talk(written: Uint8Array, last: number | undefined): readonly NfAnswer[];
}

export class NftBatch {
  /** Takes the fields of keys and values. */
  readonly writer: NfWriter;
  /** Where each message begins, by its number less one. */
  readonly #starts: number[] = [];
  #open: { readonly verb: ElementVerb; readonly set: NftSetName; readonly list: number } | undefined;
  #element = 0;
  #outer = 0;
  #inner = 0;
  #elements = 0;

  /** @param capacity bytes that will be written at first sight. */
  constructor(capacity?: number) {
    this.writer = new NfWriter(capacity);
    this.writer.begin({ ...BORDER, type: NFNL_MSG_BATCH_BEGIN, sequence: 0 });
    this.writer.end();
  }

  /** Messages so far, and so the number of the last. */
  get messages(): number {
    return this.#starts.length;
  }

  /** Elements so far, those to delete too. */
  get elements(): number {
    return this.#elements;
  }

  /** `add table`: fine if it is there, whose comment then stays. */
  addTable({ family, table }: NftTableName, comment?: string): void {
    this.#begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, family);
    this.writer.attributeText(NFTA_TABLE_NAME, table);
    this.writer.attributeU32(NFTA_TABLE_FLAGS, 0);
    this.#userComment(NFTA_TABLE_USERDATA, comment);
    this.writer.end();
  }

  /** `delete table`. Fails with `not-found`. */
  deleteTable({ family, table }: NftTableName): void {
    this.#begin(NFT_MSG_DELTABLE, 0, family);
    this.writer.attributeText(NFTA_TABLE_NAME, table);
    this.writer.end();
  }

  /** `add chain`: fine if it is there with the same hook. */
  addChain({ family, table, chain }: NftChainName, { hook, comment }: { hook?: NftHook; comment?: string } = {}): void {
    this.#begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family);
    this.writer.attributeText(NFTA_CHAIN_TABLE, table);
    this.writer.attributeText(NFTA_CHAIN_NAME, chain);
    if (hook !== undefined) {
      const nest = this.writer.nest(NFTA_CHAIN_HOOK);
      this.writer.attributeU32(NFTA_HOOK_HOOKNUM, NF_HOOK[hook.hook]);
      this.writer.attributeU32(NFTA_HOOK_PRIORITY, hook.priority);
      this.writer.close(nest);
      this.writer.attributeU32(NFTA_CHAIN_POLICY, hook.policy === "drop" ? 0 : ACCEPT);
      this.writer.attributeText(NFTA_CHAIN_TYPE, hook.type);
    }
    this.#userComment(NFTA_CHAIN_USERDATA, comment);
    this.writer.end();
  }

  /** `flush chain`. */
  flushChain(name: NftChainName): void {
    this.#rule(NFT_MSG_DELRULE, 0, name);
    this.writer.end();
  }

  /** `delete rule ... handle N`. */
  deleteRule({ handle, ...name }: NftChainName & { readonly handle: number }): void {
    this.#rule(NFT_MSG_DELRULE, 0, name);
    this.writer.attributeU64(NFTA_RULE_HANDLE, handle);
    this.writer.end();
  }

  /** `delete chain`. Fails with `busy` while something leads there. */
  deleteChain({ family, table, chain }: NftChainName): void {
    this.#begin(NFT_MSG_DELCHAIN, 0, family);
    this.writer.attributeText(NFTA_CHAIN_TABLE, table);
    this.writer.attributeText(NFTA_CHAIN_NAME, chain);
    this.writer.end();
  }

  /** `add rule`: behind those that are there. */
  addRule(name: NftChainName, { statements, comment }: NftRule): void {
    this.#rule(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, name);
    const expressions = this.writer.nest(NFTA_RULE_EXPRESSIONS);
    for (const statement of statements) statement.write(this.writer);
    this.writer.close(expressions);
    this.#userComment(NFTA_RULE_USERDATA, comment);
    this.writer.end();
  }

  /** `add set`, `add map`: fine if the same is there. */
  addSet({ family, table }: NftTableName, type: NftSetType): void {
    this.#begin(NFT_MSG_NEWSET, NLM_F_CREATE, family);
    this.writer.attributeText(NFTA_SET_TABLE, table);
    this.writer.attributeText(NFTA_SET_NAME, type.name);
    this.writer.attributeU32(NFTA_SET_ID, this.#starts.length);
    writeSetType(this.writer, type);
    this.writer.end();
  }

  /** `delete set`, `delete map`. Fails with `busy` while a rule uses it. */
  deleteSet({ family, table, set }: NftSetName): void {
    this.#begin(NFT_MSG_DELSET, 0, family);
    this.writer.attributeText(NFTA_SET_TABLE, table);
    this.writer.attributeText(NFTA_SET_NAME, set);
    this.writer.end();
  }

  /** `flush set`, `flush map`. */
  flushSet(set: NftSetName): void {
    this.#elementMessage("delete", set);
    this.writer.end();
  }

  /** Begins an element. Those with the same verb of the same `set`, the very object, share messages. */
  openElement(verb: ElementVerb, set: NftSetName): void {
    const open = this.#open;
    const fits = open !== undefined && open.verb === verb && open.set === set;
    if (!fits || this.writer.length - open.list > LIST_BYTES) this.#openList(verb, set);
    this.#element = this.writer.nest(NFTA_LIST_ELEM);
    this.#elements++;
  }

  closeElement(): void {
    this.writer.close(this.#element);
  }

  /** Begins the key, or the first of its range; its fields are written by {@link writer}, padded to four bytes each. */
  openKey(): void {
    this.#openValue(NFTA_SET_ELEM_KEY);
  }

  closeKey(): void {
    this.#closeValue();
  }

  /** Begins the last key of a range. */
  openKeyEnd(): void {
    this.#openValue(NFTA_SET_ELEM_KEY_END);
  }

  closeKeyEnd(): void {
    this.#closeValue();
  }

  /** Begins the value. */
  openValue(): void {
    this.#openValue(NFTA_SET_ELEM_DATA);
  }

  closeValue(): void {
    this.#closeValue();
  }

  /** A verdict as the value: `drop`, `goto CHAIN`. */
  verdict(word: string, chain?: string): void {
    writeVerdict(this.writer, NFTA_SET_ELEM_DATA, word, chain);
  }

  /** The comment of an element. */
  comment(comment: string): void {
    this.#userComment(NFTA_SET_ELEM_USERDATA, comment);
  }

  /** The next element begins a message of its own. */
  split(): void {
    if (this.#open === undefined) return;
    this.writer.close(this.#open.list);
    this.writer.end();
    this.#open = undefined;
  }

  /**
   * Sends it all, once.
   *
   * @returns undefined if it was done, else what the kernel refused first.
   * @throws TsnetError `io` if the kernel does not answer; `exhausted` if it does not take that much at once.
   */
  send(door: NftDoor): NftRefusal | undefined {
    this.split();
    const last = this.#starts.length;
    if (last === 0) return undefined;
    this.writer.begin({ ...BORDER, type: NFNL_MSG_BATCH_END, sequence: last + 1 });
    this.writer.end();
    const written = this.writer.written();
    // The last ACK tells that all was read; an error is answered unasked.
    const at = (this.#starts[last - 1] ?? 0) + 6;
    written.writeUInt16LE(written.readUInt16LE(at) | NLM_F_ACK, at);
    const answers = door.talk(written, last);
    const refused = answers.find(({ errno }) => errno !== undefined);
    if (refused?.errno !== undefined) {
      const { sequence, errno, offset } = refused;
      return { number: sequence, errno, offset, message: this.#messageAt(written, sequence) };
    }
    if (answers.some(({ sequence }) => sequence === last)) return undefined;
    throw new TsnetError("nft: the kernel did not answer", { code: "io", op: "nft" });
  }

  #messageAt(written: Buffer, number: number): Buffer {
    const start = this.#starts[number - 1];
    return start === undefined ? written.subarray(0, 0) : written.subarray(start, start + written.readUInt32LE(start));
  }

  #begin(message: number, flags: number, family: NftTableName["family"]): void {
    this.split();
    this.#starts.push(this.writer.length);
    const type = (NFNL_SUBSYS_NFTABLES << 8) | message;
    this.writer.begin({ type, flags, sequence: this.#starts.length, family: NFPROTO[family] });
  }

  #rule(message: number, flags: number, { family, table, chain }: NftChainName): void {
    this.#begin(message, flags, family);
    this.writer.attributeText(NFTA_RULE_TABLE, table);
    this.writer.attributeText(NFTA_RULE_CHAIN, chain);
  }

  #elementMessage(verb: ElementVerb, { family, table, set }: NftSetName): void {
    this.#begin(verb === "delete" ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM, FLAGS[verb], family);
    this.writer.attributeText(NFTA_SET_ELEM_LIST_TABLE, table);
    this.writer.attributeText(NFTA_SET_ELEM_LIST_SET, set);
  }

  #openList(verb: ElementVerb, set: NftSetName): void {
    this.#elementMessage(verb, set);
    this.#open = { verb, set, list: this.writer.nest(NFTA_SET_ELEM_LIST_ELEMENTS) };
  }

  #openValue(attribute: number): void {
    this.#outer = this.writer.nest(attribute);
    this.#inner = this.writer.open(NFTA_DATA_VALUE);
  }

  #closeValue(): void {
    this.writer.close(this.#inner);
    this.writer.close(this.#outer);
  }

  #userComment(attribute: number, comment: string | undefined): void {
    if (comment === undefined) return;
    const clean = nftComment(comment);
    const at = this.writer.open(attribute);
    this.writer.u8(NFTNL_UDATA_COMMENT);
    const start = this.writer.space(1);
    this.writer.text(clean);
    this.writer.u8(0);
    this.writer.setU8(start, this.writer.length - start - 1);
    this.writer.close(at);
  }
}

/** What the kernel did not take. */
export interface NftRefusal {
  /** Of the message, from 1. */
  readonly number: number;
  /** As `EEXIST`. */
  readonly errno: string;
  /** Of the attribute that the kernel means, in bytes from the message's start. */
  readonly offset: number | undefined;
  readonly message: Buffer;
}

const NLM_F_APPEND = 0x800;
const BORDER = { flags: 0, family: 0, resource: NFNL_SUBSYS_NFTABLES };
