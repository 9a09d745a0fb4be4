/**
 * What rules do with registers, once something was loaded: the expressions below nft's statements.
 *
 * @module
 */
import type { NfWriter } from "../sys/nfwriter.ts";
import { NFTA_DATA_VALUE } from "./constants.ts";
import { expression, FIRST_REGISTER } from "./expressions.ts";

// linux/netfilter/nf_tables.h
export const NFT_CMP_EQ = 0;
export const NFT_CMP_NEQ = 1;
const NFT_META_MARK = 3;

/** Goes on only if the first register is, or is not, `bytes`. */
export function compare(writer: NfWriter, op: number, bytes: Buffer): void {
  expression(writer, "cmp", () => {
    writer.attributeU32(1, FIRST_REGISTER);
    writer.attributeU32(2, op);
    value(writer, 3, bytes);
  });
}

/** Keeps some bits of the first register and flips some. */
export function mask(writer: NfWriter, keep: Buffer, flip: Buffer): void {
  expression(writer, "bitwise", () => {
    writer.attributeU32(1, FIRST_REGISTER);
    writer.attributeU32(2, FIRST_REGISTER);
    writer.attributeU32(3, keep.length);
    value(writer, 4, keep);
    value(writer, 5, flip);
  });
}

/** Looks the key up; `to` is the register that takes a map's value. */
export function lookup(writer: NfWriter, set: string, { to, flags }: { to?: number; flags?: number }): void {
  expression(writer, "lookup", () => {
    writer.attributeText(1, set);
    writer.attributeU32(2, FIRST_REGISTER);
    if (to !== undefined) writer.attributeU32(3, to);
    if (flags !== undefined) writer.attributeU32(5, flags);
  });
}

/** `meta mark` into the first register. */
export function loadMark(writer: NfWriter): void {
  expression(writer, "meta", () => {
    writer.attributeU32(1, FIRST_REGISTER);
    writer.attributeU32(2, NFT_META_MARK);
  });
}

/** The first register into `meta mark`. */
export function storeMark(writer: NfWriter): void {
  expression(writer, "meta", () => {
    writer.attributeU32(2, NFT_META_MARK);
    writer.attributeU32(3, FIRST_REGISTER);
  });
}

/** An attribute with a constant. */
export function value(writer: NfWriter, attribute: number, bytes: Buffer): void {
  const data = writer.nest(attribute);
  writer.attributeRaw(NFTA_DATA_VALUE, bytes);
  writer.close(data);
}

/** 32 bits as registers hold numbers. */
export function host32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
