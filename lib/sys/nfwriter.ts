/**
 * Messages to netfilter, written one behind the other into one buffer that grows: tens of thousands of elements
 * leave no objects behind. Attributes nest by position: what {@link NfWriter.open} began, {@link NfWriter.close}
 * gives its length. linux/netlink.h, linux/netfilter/nfnetlink.h.
 *
 * @module
 */

const NLM_F_REQUEST = 1;
const NLA_F_NESTED = 0x8000;
/** Bytes before the attributes of a message: struct nlmsghdr and struct nfgenmsg. */
export const NF_HEADER_BYTES = 20;

export interface NfHeader {
  /** Subsystem << 8 | message, or one of the batch's own. */
  readonly type: number;
  /** `NLM_F_*` beside REQUEST. */
  readonly flags: number;
  readonly sequence: number;
  /** `NFPROTO_*`, linux/netfilter.h. */
  readonly family: number;
  /** `res_id`: the subsystem that a batch is for. */
  readonly resource?: number;
}

export class NfWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;
  #message = 0;

  /** @param capacity in bytes, of what will be written at first sight. */
  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** In bytes; the next one is written there. */
  get length(): number {
    return this.#length;
  }

  /** What was written, until more is. */
  written(): Buffer {
    return Buffer.from(this.#bytes.buffer, 0, this.#length);
  }

  /** Where what was written lies: up to {@link length}, until more is. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Takes back all that was written from `length` on. */
  truncate(length: number): void {
    this.#length = length;
  }

  /** Begins a message. */
  begin({ type, flags, sequence, family, resource = 0 }: NfHeader): void {
    const at = this.space(NF_HEADER_BYTES);
    this.#message = at;
    this.#view.setUint16(at + 4, type, true);
    this.#view.setUint16(at + 6, NLM_F_REQUEST | flags, true);
    this.#view.setUint32(at + 8, sequence, true);
    this.#view.setUint32(at + 12, 0);
    this.#view.setUint8(at + 16, family);
    this.#view.setUint8(at + 17, 0);
    this.#view.setUint16(at + 18, resource);
  }

  /** Ends the message that was begun last. */
  end(): void {
    this.#view.setUint32(this.#message, this.#length - this.#message, true);
  }

  /** Begins an attribute and returns where. Of one that holds others `type` is marked so by {@link nest}. */
  open(type: number): number {
    const at = this.space(4);
    this.#view.setUint16(at + 2, type, true);
    return at;
  }

  /** Begins an attribute that holds others. */
  nest(type: number): number {
    return this.open(type | NLA_F_NESTED);
  }

  /** Ends the attribute that was begun at `at`. */
  close(at: number): void {
    this.#view.setUint16(at, this.#length - at, true);
    this.pad();
  }

  /** Zeros up to the next multiple of four bytes. */
  pad(): void {
    while ((this.#length & 3) !== 0) this.u8(0);
  }

  u8(value: number): void {
    const at = this.space(1);
    this.#bytes[at] = value;
  }

  /** Writes a byte over what stands at `at`. */
  setU8(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  /** In network order, as all numbers in attributes. */
  u16(value: number): void {
    const at = this.space(2);
    this.#view.setUint16(at, value);
  }

  u32(value: number): void {
    const at = this.space(4);
    this.#view.setUint32(at, value);
  }

  /** In the order of the processors that we are built for, as registers of nf_tables hold numbers. */
  hostU32(value: number): void {
    const at = this.space(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.space(8);
    this.#view.setBigUint64(at, BigInt(value));
  }

  raw(bytes: Uint8Array): void {
    const at = this.space(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** A text in UTF-8, without an end of its own. */
  text(text: string): void {
    const start = this.space(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) {
        this.#length = start;
        this.raw(Buffer.from(text));
        return;
      }
      this.#bytes[start + i] = code;
    }
  }

  /** An attribute of one byte. */
  attributeU8(type: number, value: number): void {
    const at = this.open(type);
    this.u8(value);
    this.close(at);
  }

  attributeU32(type: number, value: number): void {
    const at = this.open(type);
    this.u32(value);
    this.close(at);
  }

  attributeU64(type: number, value: number): void {
    const at = this.open(type);
    this.u64(value);
    this.close(at);
  }

  /** An attribute that is a text with its closing zero. */
  attributeText(type: number, text: string): void {
    const at = this.open(type);
    this.text(text);
    this.u8(0);
    this.close(at);
  }

  /** An attribute of these bytes. */
  attributeRaw(type: number, bytes: Uint8Array): void {
    const at = this.open(type);
    this.raw(bytes);
    this.close(at);
  }

  /**
   * Makes room for `count` bytes and returns where they begin; they are not zeroed. The buffer may be another one after it.
   */
  space(count: number): number {
    const at = this.#length;
    this.#length = at + count;
    if (this.#length > this.#bytes.length) this.#grow();
    return at;
  }

  /** An IPv4 address in text, as its four bytes. The text is known to be one. */
  ipv4(text: string): void {
    const start = this.space(4);
    let at = start;
    let octet = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === DOT) {
        this.#bytes[at++] = octet;
        octet = 0;
      } else octet = octet * 10 + code - ZERO;
    }
    this.#bytes[at] = octet;
  }

  /** An IPv6 address in canonical text (RFC 5952, no dotted part), as its sixteen bytes. */
  ipv6(text: string): void {
    const start = this.space(16);
    const bytes = this.#bytes;
    bytes.fill(0, start, start + 16);
    let at = start;
    // Where "::" stands: what follows it belongs to the end.
    let gap = -1;
    let group = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code !== COLON) {
        group = (group << 4) | (code <= NINE ? code - ZERO : (code | 0x20) - LETTER_A + 10);
        continue;
      }
      if (i > 0 && text.charCodeAt(i - 1) !== COLON) {
        bytes[at++] = group >> 8;
        bytes[at++] = group & 0xff;
        group = 0;
      }
      if (text.charCodeAt(i + 1) === COLON) gap = at;
    }
    if (text.charCodeAt(text.length - 1) !== COLON) {
      bytes[at++] = group >> 8;
      bytes[at++] = group & 0xff;
    }
    if (gap < 0) return;
    const tail = at - gap;
    bytes.copyWithin(start + 16 - tail, gap, at);
    bytes.fill(0, gap, start + 16 - tail);
  }

  #grow(): void {
    let capacity = this.#bytes.length * 2;
    while (capacity < this.#length) capacity *= 2;
    const bytes = new Uint8Array(capacity);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

const ZERO = 0x30;
const NINE = 0x39;
const DOT = 0x2e;
const COLON = 0x3a;
const LETTER_A = 0x61;
