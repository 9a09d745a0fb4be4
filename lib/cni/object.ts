/**
 * JSON objects read key by key, with types checked and every error naming the key.
 *
 * @module
 */
import { messageOf, TsnetError } from "../errors.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { type Cidr, parseCidr } from "../net/cidr.ts";
import type { ConfigObject } from "./types.ts";

/** What a network config and a list of attachments never come near; more is somebody's mistake. */
const MAX_LENGTH = 64 * 1024 * 1024;
/** Deeper nesting would overflow the stack of whoever writes the value out again. */
const MAX_DEPTH = 1000;

/**
 * Parses the JSON text of a config or a result.
 *
 * @throws TsnetError `decoding` if it is no JSON object, too long or nested too deep.
 */
export function parseJsonObject(text: string, what: string): ConfigObject {
  if (text.length > MAX_LENGTH) throw decoding(`${what} is longer than ${MAX_LENGTH} characters`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw decoding(`cannot read ${what}: ${messageOf(cause)}`, cause);
  }
  if (text.length > 2 * MAX_DEPTH) checkDepth(value, what);
  return objectOf(value, what);
}

/** A parsed value as a whole object of its own, which errors call `what`. @throws TsnetError `decoding`. */
export function objectOf(value: unknown, what: string): ConfigObject {
  if (!isRecord(value)) throw decoding(`${what} must be an object, not ${kindOf(value)}`);
  return new JsonObject(value, "", what);
}

/** A parsed value as the object that stands at `at` in the config. @throws TsnetError `decoding`. */
export function objectAt(value: unknown, at: string): ConfigObject {
  if (!isRecord(value)) throw decoding(`${at} must be an object, not ${kindOf(value)}`);
  return new JsonObject(value, at);
}

/** The object that an absent one stands for. */
export function emptyObject(at: string): ConfigObject {
  return new JsonObject({}, at);
}

/** An address under `key`; undefined if absent or empty. @throws TsnetError `invalid`, naming the key. */
export function addressIn(object: ConfigObject, key: string): Address | undefined {
  return parsedIn(object, key, parseAddress);
}

/** A CIDR under `key`; undefined if absent or empty. @throws TsnetError `invalid`, naming the key. */
export function cidrIn(object: ConfigObject, key: string): Cidr | undefined {
  return parsedIn(object, key, parseCidr);
}

function parsedIn<T>(object: ConfigObject, key: string, parse: (text: string) => T): T | undefined {
  const text = object.string(key);
  if (text === undefined || text === "") return undefined;
  try {
    return parse(text);
  } catch (cause) {
    throw new TsnetError(`${joined(object.at, key)}: ${messageOf(cause)}`, { code: "invalid", cause });
  }
}

/** Readers over a parsed object. Of keys that differ only in case the last one counts, as in Go. */
class JsonObject implements ConfigObject {
  readonly at: string;
  readonly raw: Readonly<Record<string, unknown>>;
  readonly #name: string;
  readonly #values = new Map<string, unknown>();

  /** `name` is what errors call the object itself, where it has no place of its own. */
  constructor(raw: Readonly<Record<string, unknown>>, at: string, name = at) {
    this.raw = raw;
    this.at = at;
    this.#name = name;
    for (const [key, value] of Object.entries(raw)) this.#values.set(key.toLowerCase(), value ?? undefined);
  }

  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  keys(): readonly string[] {
    return Object.keys(this.raw);
  }

  value(key: string): unknown {
    return this.#values.get(key.toLowerCase());
  }

  string(key: string): string | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === "string") return value;
    throw this.#wrong(key, "a string", value);
  }

  boolean(key: string): boolean | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.#wrong(key, "true or false", value);
  }

  number(key: string): number | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === "number") return value;
    throw this.#wrong(key, "a number", value);
  }

  integer(key: string): number | undefined {
    const value = this.number(key);
    if (value === undefined || Number.isSafeInteger(value)) return value;
    throw decoding(`${this.#path(key)} must be a whole number, not ${value}`);
  }

  object(key: string): ConfigObject | undefined {
    const value = this.value(key);
    return value === undefined ? undefined : this.#child(key, value);
  }

  array(key: string): readonly unknown[] | undefined {
    const value = this.value(key);
    if (value === undefined || Array.isArray(value)) return value;
    throw this.#wrong(key, "a list", value);
  }

  strings(key: string): readonly string[] | undefined {
    return this.array(key)?.map((value, i) => {
      if (typeof value !== "string") throw this.#wrong(`${key}[${i}]`, "a string", value);
      return value;
    });
  }

  objects(key: string): readonly ConfigObject[] | undefined {
    return this.array(key)?.map((value, i) => this.#child(`${key}[${i}]`, value));
  }

  #child(key: string, value: unknown): ConfigObject {
    if (!isRecord(value)) throw this.#wrong(key, "an object", value);
    return new JsonObject(value, this.#path(key));
  }

  #path(key: string): string {
    return joined(this.at, key);
  }

  #wrong(key: string, wanted: string, value: unknown): TsnetError {
    const where = this.#name === this.at ? this.#path(key) : `${this.#path(key)} in ${this.#name}`;
    return decoding(`${where} must be ${wanted}, not ${kindOf(value)}`);
  }
}

function joined(at: string, key: string): string {
  return at === "" ? key : `${at}.${key}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return JSON.stringify(value).slice(0, 60);
}

/** Without recursion, which is what it guards against. */
function checkDepth(value: unknown, what: string): void {
  let level: readonly unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw decoding(`${what} is nested deeper than ${MAX_DEPTH} levels`);
    level = level.flatMap((each) => (typeof each === "object" && each !== null ? Object.values(each) : []));
  }
}

function decoding(message: string, cause?: unknown): TsnetError {
  return new TsnetError(message, { code: "decoding", op: "read config", cause });
}
