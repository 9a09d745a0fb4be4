/**
 * Cuts an answer of the API server into its objects while it arrives, on bytes.
 *
 * A list of a big cluster has tens of megabytes. Its text is never there as a whole: of the bytes only those of one
 * object are kept, and each object's text is handed on as soon as it is complete, to be parsed and cut down before
 * the next one comes. UTF-8 makes that possible, as the bytes of `{`, `"` and the like occur in no other character.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

/** Takes the text of one object. */
export type TakeText = (text: string) => void;

/** etcd stores 1.5 MB an object; what is this long is no answer of an API server. */
const MAX_BYTES = 64 * 1024 * 1024;

const NOTHING = new Uint8Array(0);

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const LINE_FEED = 0x0a;

/** Lines, each without its end; empty ones are left out. What follows the last line end is no line: a stream that was cut. */
export class LineSplitter {
  readonly #take: TakeText;
  readonly #rest = new Pieces();

  constructor(take: TakeText) {
    this.#take = take;
  }

  push(chunk: Uint8Array): void {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      const text = this.#rest.join(chunk, start, end);
      start = end + 1;
      if (text.trim() !== "") this.#take(text);
    }
    this.#rest.add(chunk, start, chunk.length);
  }
}

/**
 * The entries of the outermost `items` of one JSON object, `{"kind": ..., "metadata": {...}, "items": [...]}`, with its
 * other fields before or after them.
 */
export class ListSplitter {
  readonly #take: TakeText;
  /** Of the entry that is being read. */
  readonly #entry = new Pieces();
  /** All but the entries. */
  readonly #frame = new Pieces();
  #frameText = "";
  #depth = 0;
  #inItems = false;
  #inString = false;
  #escaped = false;

  constructor(take: TakeText) {
    this.#take = take;
  }

  push(chunk: Uint8Array): void {
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      if (this.#inString) {
        i = this.#skipString(chunk, i);
        continue;
      }
      switch (chunk[i]) {
        case QUOTE:
          this.#inString = true;
          break;
        case OPEN_LIST:
          this.#depth++;
          if (this.#depth === 2) start = this.#openList(chunk, start, i + 1);
          break;
        case OPEN:
          this.#depth++;
          break;
        case COMMA:
          if (this.#inItems && this.#depth === 2) start = this.#endEntry(chunk, start, i) + 1;
          break;
        case CLOSE_LIST:
        case CLOSE:
          this.#depth--;
          if (this.#inItems && this.#depth === 1) {
            start = this.#endEntry(chunk, start, i);
            this.#inItems = false;
          }
          break;
      }
    }
    (this.#inItems ? this.#entry : this.#frame).add(chunk, start, chunk.length);
  }

  /**
   * To be called when the answer has ended. Returns it without its entries.
   *
   * @throws TsnetError `decoding` if it was cut, or is no JSON.
   */
  end(): unknown {
    const text = this.#frameText + this.#frame.join(NOTHING, 0, 0);
    if (this.#depth !== 0 || text.trim() === "") {
      throw new TsnetError("the list ended in the middle", { code: "decoding", op: "list" });
    }
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new TsnetError("the list is no JSON", { code: "decoding", op: "list", cause });
    }
  }

  /** The place of the string's last byte that is in this chunk. */
  #skipString(chunk: Uint8Array, from: number): number {
    let i = from;
    for (; i < chunk.length; i++) {
      const byte = chunk[i];
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        return i;
      }
    }
    return i;
  }

  /** A list right inside the outermost object has begun, maybe that of the entries. */
  #openList(chunk: Uint8Array, start: number, end: number): number {
    this.#frameText += this.#frame.join(chunk, start, end);
    this.#inItems = /[{,]\s*"items"\s*:\s*\[$/.test(this.#frameText);
    return end;
  }

  #endEntry(chunk: Uint8Array, start: number, end: number): number {
    const text = this.#entry.join(chunk, start, end);
    if (text.trim() !== "") this.#take(text);
    return end;
  }
}

/** Bytes of one text that came in several chunks. */
class Pieces {
  #pieces: Uint8Array[] = [];
  #length = 0;

  /** Copies: whoever hands in the chunk may use it again. */
  add(chunk: Uint8Array, start: number, end: number): void {
    if (end <= start) return;
    this.#pieces.push(chunk.slice(start, end));
    this.#length += end - start;
    if (this.#length > MAX_BYTES) {
      throw new TsnetError(`an object of more than ${MAX_BYTES} bytes`, { code: "decoding", op: "read objects" });
    }
  }

  /** The text of all pieces and this last one; there are none after that. */
  join(chunk: Uint8Array, start: number, end: number): string {
    const last = chunk.subarray(start, end);
    if (this.#pieces.length === 0) return decode(last);
    const whole = Buffer.concat([...this.#pieces, last]);
    this.#pieces = [];
    this.#length = 0;
    return decode(whole);
  }
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
