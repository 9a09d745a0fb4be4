/**
 * Elements of one set on their way into a transaction. No objects stand for them: each field is written where it
 * belongs. Whenever a message's worth is together it goes into the batch, so that the elements of many sets may come
 * in any order.
 *
 *     list.open();
 *     list.openKey(); list.writer.ipv4("10.96.0.1"); ... list.closeKey();
 *     list.verdict("goto", "pick-4");
 *     list.close(); ... list.flush();
 *
 * @module
 */
import { NfWriter } from "../sys/nfwriter.ts";
import { writeVerdict } from "./actions.ts";
import { nftComment } from "./comment.ts";
import {
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_KEY_END,
  NFTA_SET_ELEM_USERDATA,
  NFTNL_UDATA_COMMENT,
} from "./constants.ts";
import type { ElementVerb, NftBatch } from "./nftbatch.ts";
import type { NftSetName } from "./specs.ts";

// An attribute's length has 16 bits, and the longest element has far fewer bytes than the rest.
const LIST_BYTES = 60_000;

export class NftElementList {
  /** Takes the fields of keys and values, of which each begins at a multiple of four bytes. */
  readonly writer = new NfWriter(1024);
  readonly #batch: NftBatch;
  readonly #verb: ElementVerb;
  readonly #set: NftSetName;
  #count = 0;
  #element = 0;
  #outer = 0;
  #inner = 0;

  constructor(batch: NftBatch, verb: ElementVerb, set: NftSetName) {
    this.#batch = batch;
    this.#verb = verb;
    this.#set = set;
  }

  /** Begins an element. */
  open(): void {
    this.#element = this.writer.nest(NFTA_LIST_ELEM);
    this.#count++;
  }

  close(): void {
    this.writer.close(this.#element);
    if (this.writer.length > LIST_BYTES) this.flush();
  }

  /** Begins the key, or the first of its range. */
  openKey(): void {
    this.#openValue(NFTA_SET_ELEM_KEY);
  }

  /** Begins the last key of a range. */
  openKeyEnd(): void {
    this.#openValue(NFTA_SET_ELEM_KEY_END);
  }

  /** Begins the value. */
  openValue(): void {
    this.#openValue(NFTA_SET_ELEM_DATA);
  }

  /** Ends what of these was begun last. */
  closeValue(): void {
    this.writer.close(this.#inner);
    this.writer.close(this.#outer);
  }

  /** A verdict as the value: `drop`, `goto CHAIN`. */
  verdict(word: string, chain?: string): void {
    writeVerdict(this.writer, NFTA_SET_ELEM_DATA, word, chain);
  }

  comment(comment: string): void {
    writeComment(this.writer, NFTA_SET_ELEM_USERDATA, comment);
  }

  /** Puts what is left into the batch. */
  flush(): void {
    if (this.#count === 0) return;
    this.#batch.elementList(this.#verb, this.#set, { bytes: this.writer.written(), count: this.#count });
    this.writer.truncate(0);
    this.#count = 0;
  }

  #openValue(attribute: number): void {
    this.#outer = this.writer.nest(attribute);
    this.#inner = this.writer.open(NFTA_DATA_VALUE);
  }
}

/** Writes user data that is a comment alone; nothing if there is none. */
export function writeComment(writer: NfWriter, attribute: number, comment: string | undefined): void {
  if (comment === undefined) return;
  const at = writer.open(attribute);
  writer.u8(NFTNL_UDATA_COMMENT);
  const length = writer.space(1);
  writer.text(nftComment(comment));
  writer.u8(0);
  writer.setU8(length, writer.length - length - 1);
  writer.close(at);
}
