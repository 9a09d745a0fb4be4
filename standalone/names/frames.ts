/**
 * Messages on a stream: two bytes of length before each, RFC 1035 section 4.2.2.
 *
 * @module
 */

/** The message with its length before it. */
export function frame(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(2 + message.length);
  bytes.writeUInt16BE(message.length);
  bytes.set(message, 2);
  return bytes;
}

/** Puts messages together from what comes in, in pieces of any size. */
export class Frames {
  #bytes: Buffer = Buffer.alloc(0);

  /** The messages that are whole now. */
  take(data: Uint8Array): readonly Buffer[] {
    this.#bytes = Buffer.concat([this.#bytes, data]);
    const messages: Buffer[] = [];
    while (this.#bytes.length >= 2) {
      const end = 2 + this.#bytes.readUInt16BE();
      if (this.#bytes.length < end) break;
      messages.push(this.#bytes.subarray(2, end));
      this.#bytes = this.#bytes.subarray(end);
    }
    return messages;
  }
}
