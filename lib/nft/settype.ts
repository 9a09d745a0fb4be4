/**
 * How sets and maps are declared without `nft`: what the kernel needs to know of them, and what nft looks up to list
 * them as `typeof`.
 *
 * @module
 */
import type { NfWriter } from "../sys/nfwriter.ts";
import {
  NFT_DATA_VERDICT,
  NFT_SET_CONCAT,
  NFT_SET_CONSTANT,
  NFT_SET_EVAL,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  NFT_SET_TIMEOUT,
  NFTA_LIST_ELEM,
  NFTA_SET_DATA_LEN,
  NFTA_SET_DATA_TYPE,
  NFTA_SET_DESC,
  NFTA_SET_DESC_CONCAT,
  NFTA_SET_DESC_SIZE,
  NFTA_SET_FIELD_LEN,
  NFTA_SET_FLAGS,
  NFTA_SET_KEY_LEN,
  NFTA_SET_KEY_TYPE,
  NFTA_SET_USERDATA,
  NFTNL_UDATA_SET_COMMENT,
  NFTNL_UDATA_SET_DATA_INTERVAL,
  NFTNL_UDATA_SET_DATA_TYPEOF,
  NFTNL_UDATA_SET_DATABYTEORDER,
  NFTNL_UDATA_SET_KEY_TYPEOF,
  NFTNL_UDATA_SET_KEYBYTEORDER,
} from "./constants.ts";
import { declaredFields, FIELDS, hostBytes32, type NftExpression, userData } from "./expressions.ts";
import { keyText } from "./rule.ts";
import type { NftSetFlag } from "./specs.ts";

/** A set, or a map if it has values. */
export interface NftSetType {
  readonly name: string;
  readonly key: readonly NftExpression[];
  readonly value?: readonly NftExpression[] | "verdict";
  readonly flags?: readonly NftSetFlag[];
  /** How many elements it may hold. */
  readonly size?: number;
  /** Made safe already. */
  readonly comment?: string;
}

const FLAGS: Readonly<Record<NftSetFlag, number>> = {
  interval: NFT_SET_INTERVAL,
  timeout: NFT_SET_TIMEOUT,
  dynamic: NFT_SET_EVAL,
  constant: NFT_SET_CONSTANT,
};
/** `enum byteorder` of nft's include/datatype.h. */
const BYTEORDER_INVALID = 0;
const BYTEORDER_BIG_ENDIAN = 2;
const BITS_OF_TYPE = 6;

/** The declaration in a table's block, a line each: `map NAME {`, `typeof ...`. Without its closing brace. */
export function setText({ name, key, value, flags = [], size, comment }: NftSetType): readonly string[] {
  const valueText = value === undefined ? "" : ` : ${value === "verdict" ? value : keyText(value)}`;
  return [
    `${value === undefined ? "set" : "map"} ${name} {`,
    `\ttypeof ${keyText(key)}${valueText}`,
    ...(size === undefined ? [] : [`\tsize ${size}`]),
    ...(flags.length === 0 ? [] : [`\tflags ${flags.join(",")}`]),
    ...(comment === undefined ? [] : [`\tcomment "${comment}"`]),
  ];
}

/** Writes the attributes of a declaration, but for the names. */
export function writeSetType(writer: NfWriter, { key, value, flags = [], size, comment }: NftSetType): void {
  const isRange = flags.includes("interval") && key.length > 1;
  let bits = (value === undefined ? 0 : NFT_SET_MAP) | (isRange ? NFT_SET_CONCAT : 0);
  for (const flag of flags) bits |= FLAGS[flag];
  if (bits !== 0) writer.attributeU32(NFTA_SET_FLAGS, bits);
  writer.attributeU32(NFTA_SET_KEY_TYPE, typeOf(key));
  writer.attributeU32(NFTA_SET_KEY_LEN, bytesOf(key));
  if (value !== undefined) {
    writer.attributeU32(NFTA_SET_DATA_TYPE, value === "verdict" ? NFT_DATA_VERDICT : typeOf(value));
    if (value !== "verdict") writer.attributeU32(NFTA_SET_DATA_LEN, bytesOf(value));
  }
  if (size !== undefined || isRange) writeDescription(writer, isRange ? key : [], size);
  const parts: (readonly [number, Buffer])[] = [[NFTNL_UDATA_SET_KEYBYTEORDER, byteOrder(key)]];
  if (value !== undefined) parts.push([NFTNL_UDATA_SET_DATABYTEORDER, byteOrder(value)]);
  parts.push([NFTNL_UDATA_SET_KEY_TYPEOF, declaredFields(key)]);
  if (value === "verdict") parts.push([NFTNL_UDATA_SET_DATA_TYPEOF, VERDICTS]);
  else if (value !== undefined) parts.push([NFTNL_UDATA_SET_DATA_TYPEOF, declaredFields(value)]);
  if (value !== undefined) parts.push([NFTNL_UDATA_SET_DATA_INTERVAL, hostBytes32(0)]);
  if (comment !== undefined) parts.push([NFTNL_UDATA_SET_COMMENT, Buffer.from(`${comment}\0`)]);
  writer.attributeRaw(NFTA_SET_USERDATA, userData(parts));
}

// A verdict, `enum expr_types` 1, of nothing further.
const VERDICTS = userData([
  [0, hostBytes32(1)],
  [1, Buffer.alloc(0)],
]);

/** Bytes of a key or a value; fields of several begin at multiples of four. */
export function bytesOf(fields: readonly NftExpression[]): number {
  const [only] = fields;
  if (fields.length === 1 && only !== undefined) return FIELDS[only.kind].bytes;
  return fields.reduce((sum, { kind }) => sum + ((FIELDS[kind].bytes + 3) & ~3), 0);
}

function typeOf(fields: readonly NftExpression[]): number {
  return fields.reduce((type, { kind }) => (type << BITS_OF_TYPE) | FIELDS[kind].type, 0) >>> 0;
}

function byteOrder(fields: readonly NftExpression[] | "verdict"): Buffer {
  const isOneInNetworkOrder = fields !== "verdict" && fields.length === 1;
  return hostBytes32(isOneInNetworkOrder ? BYTEORDER_BIG_ENDIAN : BYTEORDER_INVALID);
}

function writeDescription(writer: NfWriter, fields: readonly NftExpression[], size: number | undefined): void {
  const description = writer.nest(NFTA_SET_DESC);
  if (size !== undefined) writer.attributeU32(NFTA_SET_DESC_SIZE, size);
  if (fields.length > 0) {
    const concat = writer.nest(NFTA_SET_DESC_CONCAT);
    for (const { kind } of fields) {
      const field = writer.nest(NFTA_LIST_ELEM);
      writer.attributeU32(NFTA_SET_FIELD_LEN, FIELDS[kind].bytes);
      writer.close(field);
    }
    writer.close(concat);
  }
  writer.close(description);
}
