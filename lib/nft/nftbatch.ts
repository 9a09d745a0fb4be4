/**
 * One transaction, written as the messages that the kernel reads: any number of elements in one datagram, which it
 * takes whole or not at all. What a verb does is what nft's does.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type NfAnswer, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL } from "../sys/nfnetlink.ts";
import { NfWriter } from "../sys/nfwriter.ts";
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
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
  NFTA_RULE_CHAIN,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_HANDLE,
  NFTA_RULE_TABLE,
  NFTA_RULE_USERDATA,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_ID,
  NFTA_SET_NAME,
  NFTA_SET_TABLE,
  NFTA_TABLE_FLAGS,
  NFTA_TABLE_NAME,
  NFTA_TABLE_USERDATA,
} from "./constants.ts";
import { writeComment } from "./elementlist.ts";
import type { BuiltRule } from "./rule.ts";
import { type NftSetType, writeSetType } from "./settype.ts";
import type { NftChainName, NftHook, NftSetName, NftTableName } from "./specs.ts";

export type ElementVerb = "add" | "create" | "delete";

const ACCEPT = 1;
const FLAGS: Readonly<Record<ElementVerb, number>> = {
  add: NLM_F_CREATE,
  create: NLM_F_CREATE | NLM_F_EXCL,
  delete: 0,
};

/** What a batch goes through: a socket that stays open. */
export interface NftDoor {
  talk(written: Uint8Array, last: number | undefined): readonly NfAnswer[];
}

export class NftBatch {
  readonly #writer: NfWriter;
  /** Where each message begins, by its number less one. */
  readonly #starts: number[] = [];
  #elements = 0;

  /** @param capacity bytes that will be written at first sight. */
  constructor(capacity?: number) {
    this.#writer = new NfWriter(capacity);
    this.#writer.begin({ ...BORDER, type: NFNL_MSG_BATCH_BEGIN, sequence: 0 });
    this.#writer.end();
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
    this.#writer.attributeText(NFTA_TABLE_NAME, table);
    this.#writer.attributeU32(NFTA_TABLE_FLAGS, 0);
    writeComment(this.#writer, NFTA_TABLE_USERDATA, comment);
    this.#writer.end();
  }

  /** `delete table`. Fails with `not-found`. */
  deleteTable({ family, table }: NftTableName): void {
    this.#begin(NFT_MSG_DELTABLE, 0, family);
    this.#writer.attributeText(NFTA_TABLE_NAME, table);
    this.#writer.end();
  }

  /** `add chain`: fine if it is there with the same hook. */
  addChain({ family, table, chain }: NftChainName, { hook, comment }: { hook?: NftHook; comment?: string } = {}): void {
    this.#begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family);
    this.#writer.attributeText(NFTA_CHAIN_TABLE, table);
    this.#writer.attributeText(NFTA_CHAIN_NAME, chain);
    if (hook !== undefined) {
      const nest = this.#writer.nest(NFTA_CHAIN_HOOK);
      this.#writer.attributeU32(NFTA_HOOK_HOOKNUM, NF_HOOK[hook.hook]);
      this.#writer.attributeU32(NFTA_HOOK_PRIORITY, hook.priority);
      this.#writer.close(nest);
      this.#writer.attributeU32(NFTA_CHAIN_POLICY, hook.policy === "drop" ? 0 : ACCEPT);
      this.#writer.attributeText(NFTA_CHAIN_TYPE, hook.type);
    }
    writeComment(this.#writer, NFTA_CHAIN_USERDATA, comment);
    this.#writer.end();
  }

  /** `flush chain`. */
  flushChain(name: NftChainName): void {
    this.#rule(NFT_MSG_DELRULE, 0, name);
    this.#writer.end();
  }

  /** `delete rule ... handle N`. */
  deleteRule({ handle, ...name }: NftChainName & { readonly handle: number }): void {
    this.#rule(NFT_MSG_DELRULE, 0, name);
    this.#writer.attributeU64(NFTA_RULE_HANDLE, handle);
    this.#writer.end();
  }

  /** `delete chain`, with the rules in it. Fails with `busy` while something leads there. */
  deleteChain(name: NftChainName): void {
    this.#deleteChain(0, name);
  }

  /** The same, and with `busy` also of a chain that has rules. */
  deleteEmptyChain(name: NftChainName): void {
    this.#deleteChain(NLM_F_NONREC, name);
  }

  /** `add rule`: behind those that are there. */
  addRule(name: NftChainName, { statements, comment }: BuiltRule): void {
    this.#rule(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, name);
    const expressions = this.#writer.nest(NFTA_RULE_EXPRESSIONS);
    for (const statement of statements) statement.write(this.#writer);
    this.#writer.close(expressions);
    writeComment(this.#writer, NFTA_RULE_USERDATA, comment);
    this.#writer.end();
  }

  /** `add set`, `add map`: fine if the same is there. */
  addSet({ family, table }: NftTableName, type: NftSetType): void {
    this.#begin(NFT_MSG_NEWSET, NLM_F_CREATE, family);
    this.#writer.attributeText(NFTA_SET_TABLE, table);
    this.#writer.attributeText(NFTA_SET_NAME, type.name);
    this.#writer.attributeU32(NFTA_SET_ID, this.#starts.length);
    writeSetType(this.#writer, type);
    this.#writer.end();
  }

  /** `delete set`, `delete map`. Fails with `busy` while a rule uses it. */
  deleteSet({ family, table, set }: NftSetName): void {
    this.#begin(NFT_MSG_DELSET, 0, family);
    this.#writer.attributeText(NFTA_SET_TABLE, table);
    this.#writer.attributeText(NFTA_SET_NAME, set);
    this.#writer.end();
  }

  /** `flush set`, `flush map`. */
  flushSet(set: NftSetName): void {
    this.#elementMessage("delete", set);
    this.#writer.end();
  }

  /** Elements, as {@link NftElementList} wrote them. */
  elementList(verb: ElementVerb, set: NftSetName, { bytes, count }: { bytes: Uint8Array; count: number }): void {
    this.#elementMessage(verb, set);
    const list = this.#writer.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    this.#writer.raw(bytes);
    this.#writer.close(list);
    this.#writer.end();
    this.#elements += count;
  }

  /**
   * Sends it all, once.
   *
   * @returns undefined if it was done, else what the kernel refused first.
   * @throws TsnetError `io` if the kernel does not answer; `exhausted` if it does not take that much at once.
   */
  send(door: NftDoor): NftRefusal | undefined {
    const last = this.#starts.length;
    if (last === 0) return undefined;
    this.#writer.begin({ ...BORDER, type: NFNL_MSG_BATCH_END, sequence: last + 1 });
    this.#writer.end();
    const written = this.#writer.written();
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
    this.#starts.push(this.#writer.length);
    const type = (NFNL_SUBSYS_NFTABLES << 8) | message;
    this.#writer.begin({ type, flags, sequence: this.#starts.length, family: NFPROTO[family] });
  }

  #deleteChain(flags: number, { family, table, chain }: NftChainName): void {
    this.#begin(NFT_MSG_DELCHAIN, flags, family);
    this.#writer.attributeText(NFTA_CHAIN_TABLE, table);
    this.#writer.attributeText(NFTA_CHAIN_NAME, chain);
    this.#writer.end();
  }

  #rule(message: number, flags: number, { family, table, chain }: NftChainName): void {
    this.#begin(message, flags, family);
    this.#writer.attributeText(NFTA_RULE_TABLE, table);
    this.#writer.attributeText(NFTA_RULE_CHAIN, chain);
  }

  #elementMessage(verb: ElementVerb, { family, table, set }: NftSetName): void {
    this.#begin(verb === "delete" ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM, FLAGS[verb], family);
    this.#writer.attributeText(NFTA_SET_ELEM_LIST_TABLE, table);
    this.#writer.attributeText(NFTA_SET_ELEM_LIST_SET, set);
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

const NLM_F_NONREC = 0x100;
const NLM_F_APPEND = 0x800;
const BORDER = { flags: 0, family: 0, resource: NFNL_SUBSYS_NFTABLES };
