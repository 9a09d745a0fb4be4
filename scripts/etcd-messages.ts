/**
 * etcd's messages to bytes and back, by tables of their fields (protobuf's wire format, version 3).
 *
 * In the bundle in place of protobufjs, which writes and compiles a handful of functions for each message as the agent
 * starts: for the few messages that we exchange that takes longer than to read a thousand leases without them.
 *
 * @module
 */

/** One field of a message. */
export interface Field {
  readonly id: number;
  readonly name: string;
  readonly type: "bytes" | "string" | "bool" | "int64" | "uint64" | "enum" | "message";
  /** The message's name. */
  readonly of?: string;
  /** Of an enumeration, by number. */
  readonly names?: readonly string[];
  readonly repeated?: boolean;
  /** Of several with the same word here there is one, whose name then stands under that word. */
  readonly oneof?: string;
}

export type Messages = Readonly<Record<string, readonly Field[]>>;
/** As etcd3 has it: bytes are a Buffer, a number of 64 bits is text, an enumeration's value its name. */
export type Message = Readonly<Record<string, unknown>>;

interface Table {
  readonly fields: readonly Field[];
  readonly byId: ReadonlyMap<number, Field>;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

export class Codec {
  readonly #messages: Messages;
  readonly #tables = new Map<string, Table>();

  constructor(messages: Messages) {
    this.#messages = messages;
  }

  /** What is absent, or null, is left out. */
  encode(name: string, message: Message): Buffer {
    const parts: Uint8Array[] = [];
    for (const field of this.#table(name).fields) {
      const value = message[field.name];
      if (value === undefined || value === null) continue;
      for (const one of field.repeated === true && Array.isArray(value) ? value : [value]) this.#put(parts, field, one);
    }
    return Buffer.concat(parts);
  }

  /** What is absent has its default; fields that are not known are passed over. @throws RangeError if it is cut short. */
  decode(name: string, bytes: Buffer): Message {
    return this.#read(name, new Reader(bytes), bytes.length);
  }

  #put(parts: Uint8Array[], field: Field, value: unknown): void {
    const bytes = this.#bytesOf(field, value);
    parts.push(varint(BigInt(field.id * 8 + (bytes === undefined ? VARINT : BYTES))));
    if (bytes === undefined) parts.push(varint(numberOf(field, value)));
    else parts.push(varint(BigInt(bytes.length)), bytes);
  }

  /** Undefined for a field that is a number. */
  #bytesOf({ type, of = "" }: Field, value: unknown): Uint8Array | undefined {
    if (type === "message") return this.encode(of, Object(value));
    if (type === "string") return Buffer.from(String(value));
    return type === "bytes" ? bytesIn(value) : undefined;
  }

  #read(name: string, reader: Reader, end: number): Message {
    const { fields, byId } = this.#table(name);
    const message: Record<string, unknown> = {};
    for (const field of fields) if (field.oneof === undefined) message[field.name] = defaultOf(field);
    while (reader.at < end) {
      const key = reader.length();
      const field = byId.get(key >>> 3);
      if (field === undefined) reader.skip(key & 7);
      else if (field.repeated === true) this.#append(message[field.name], field, reader, key & 7);
      else message[field.name] = this.#value(field, reader);
      if (field?.oneof !== undefined) message[field.oneof] = field.name;
    }
    return message;
  }

  #append(list: unknown, field: Field, reader: Reader, wire: number): void {
    if (!Array.isArray(list)) return;
    // Numbers come packed, many of them as one value.
    const packed = wire === BYTES && field.type !== "bytes" && field.type !== "string" && field.type !== "message";
    const end = packed ? reader.length() + reader.at : 0;
    do list.push(this.#value(field, reader));
    while (reader.at < end);
  }

  #value({ type, of = "", names }: Field, reader: Reader): unknown {
    switch (type) {
      case "message": {
        const length = reader.length();
        return this.#read(of, reader, reader.at + length);
      }
      case "bytes":
        return reader.bytes();
      case "string":
        return reader.bytes().toString();
      case "bool":
        return reader.number64(false) !== "0";
      case "enum": {
        const number = reader.length();
        return names?.[number] ?? number;
      }
      default:
        return reader.number64(type === "int64");
    }
  }

  #table(name: string): Table {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const fields = this.#messages[name];
    if (fields === undefined) throw new RangeError(`no message is called ${name}`);
    const table = { fields, byId: new Map(fields.map((field) => [field.id, field])) };
    this.#tables.set(name, table);
    return table;
  }
}

const CUT = "a message ends too early";

class Reader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** A number below 2^53: a length, a field's key, an enumeration's. */
  length(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  /** The text of a number of up to 64 bits. */
  number64(signed: boolean): string {
    const start = this.at;
    while (this.#byte() >= 0x80);
    const end = this.at;
    this.at = start;
    // Seven bytes hold 49 bits.
    if (end - start <= 7) return String(this.length());
    let value = 0n;
    for (let shift = 0n; this.at < end; shift += 7n) value |= BigInt(this.#byte() & 0x7f) << shift;
    return String(signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
  }

  bytes(): Buffer {
    const length = this.length();
    const start = this.at;
    this.#move(length);
    return this.#bytes.subarray(start, this.at);
  }

  /** Past a value of that wire type. */
  skip(wire: number): void {
    if (wire === VARINT) while (this.#byte() >= 0x80);
    else if (wire === FIXED64) this.#move(8);
    else if (wire === FIXED32) this.#move(4);
    else if (wire === BYTES) this.#move(this.length());
    else throw new RangeError(`a message has a value of wire type ${wire}`);
  }

  #byte(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new RangeError(CUT);
    return byte;
  }

  #move(length: number): void {
    this.at += length;
    if (this.at > this.#bytes.length) throw new RangeError(CUT);
  }
}

function defaultOf({ type, names, repeated }: Field): unknown {
  if (repeated === true) return [];
  switch (type) {
    case "message":
      return null;
    case "bytes":
      return EMPTY;
    case "string":
      return "";
    case "bool":
      return false;
    case "enum":
      return names?.[0];
    default:
      return "0";
  }
}

const EMPTY = Buffer.alloc(0);

function bytesIn(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`${String(value)} is not bytes`);
}

function numberOf({ names = [] }: Field, value: unknown): bigint {
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "string" && names.includes(value)) return BigInt(names.indexOf(value));
  return BigInt(String(value));
}

/** Seven bits a byte, the lowest first; a negative number as its 64 bits. */
function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    if (rest < 0x80n) return Uint8Array.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}
