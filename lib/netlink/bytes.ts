/**
 * Between the codecs' streams and plain bytes.
 *
 * @module
 */
import { AttrStream, type StreamData } from "netlink/dist/structs";
import { NLA_TYPE_MASK } from "./constants.ts";

/** Collects what a codec emits: some attributes of the package take only bytes. */
export function toBuffer(data: StreamData): Buffer {
  const stream = new AttrStream();
  stream.emit(data);
  return Buffer.concat(stream.bufs);
}

/**
 * Attributes by number; of a repeated one the last. Written out, for a link has sixty of them, and the package's parser
 * makes three objects of each: a millisecond of a plugin call.
 */
export function attributeMap(bytes: Buffer | undefined): ReadonlyMap<number, Buffer> {
  const map = new Map<number, Buffer>();
  if (bytes === undefined) return map;
  // struct nlattr: u16 length with these four bytes, u16 type with two flags on top.
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4) break;
    map.set(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return map;
}
