/**
 * Between the codecs' streams and plain bytes.
 *
 * @module
 */
import { AttrStream, parseAttributes, type StreamData } from "netlink/dist/structs";

/** Collects what a codec emits: some attributes of the package take only bytes. */
export function toBuffer(data: StreamData): Buffer {
  const stream = new AttrStream();
  stream.emit(data);
  return Buffer.concat(stream.bufs);
}

/** Attributes by number; of a repeated one the last. */
export function attributeMap(bytes: Buffer | undefined): ReadonlyMap<number, Buffer> {
  const map = new Map<number, Buffer>();
  if (bytes !== undefined) parseAttributes(bytes, (attribute) => map.set(attribute.type, attribute.data));
  return map;
}
