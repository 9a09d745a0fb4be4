/**
 * Reads the fields of a Kubernetes object, which came as JSON or YAML, with types checked.
 *
 * An absent field and null are the same, as they are to the API server. An error names the field by its path from
 * the object down; the path is put together only when there is an error, since a cluster has hundreds of thousands
 * of fields that are fine.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { type Family, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { formatCidr, networkOf, parseCidr } from "../../lib/net/cidr.ts";
import type { Protocol } from "./objects.ts";

/** A JSON object of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** Is told of an entry that is left out, in one line that names the field. */
export type Problems = (text: string) => void;

/** One list for all that have none: most services have no external address, and there may be 50,000 of them. */
export const NONE: readonly never[] = Object.freeze([]);

const NO_FIELDS: Fields = Object.freeze({});

/** `value` as an object. @throws TsnetError `invalid`. */
export function asObject(value: unknown): Fields {
  if (isFields(value)) return value;
  throw new TsnetError(`must be an object, not ${kindOf(value)}`, INVALID);
}

/** The object under `key`, an empty one if it is absent. */
export function objectIn(fields: Fields, key: string): Fields {
  const value = fields[key];
  if (isFields(value)) return value;
  if (value === undefined || value === null) return NO_FIELDS;
  throw invalid(key, `must be an object, not ${kindOf(value)}`);
}

/** The text under `key`; undefined if absent. */
export function textIn(fields: Fields, key: string): string | undefined {
  const value = fields[key];
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return undefined;
  throw invalid(key, `must be text, not ${kindOf(value)}`);
}

/** The text under `key`, which has to be there. */
export function neededText(fields: Fields, key: string): string {
  const text = textIn(fields, key);
  if (text === undefined || text === "") throw invalid(key, "is missing");
  return text;
}

/** True or false under `key`; undefined if absent. */
export function booleanIn(fields: Fields, key: string): boolean | undefined {
  const value = fields[key];
  if (typeof value === "boolean") return value;
  if (value === undefined || value === null) return undefined;
  throw invalid(key, `must be true or false, not ${kindOf(value)}`);
}

/** A whole number of a range under `key`; undefined if absent. */
export function integerIn(fields: Fields, key: string, min: number, max: number): number | undefined {
  const value = fields[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(key, `must be a whole number from ${min} to ${max}, not ${kindOf(value)}`);
}

/** The list under `key`, an empty one if it is absent. */
export function listIn(fields: Fields, key: string): readonly unknown[] {
  const value = fields[key];
  if (value === undefined || value === null) return NONE;
  if (Array.isArray(value)) return value;
  throw invalid(key, `must be a list, not ${kindOf(value)}`);
}

/** One of the words of `choices` under `key`; undefined if absent or empty. */
export function choiceIn<T extends string>(fields: Fields, key: string, choices: readonly T[]): T | undefined {
  const text = textIn(fields, key);
  if (text === undefined || text === "") return undefined;
  const choice = choices.find((each) => each === text);
  if (choice === undefined) throw invalid(key, `must be ${choices.join(", ")}, not ${kindOf(text)}`);
  return choice;
}

const PROTOCOLS = { TCP: "tcp", UDP: "udp", SCTP: "sctp" } as const;

/** `protocol` of a port, by default TCP. */
export function protocolIn(fields: Fields): Protocol {
  return PROTOCOLS[choiceIn(fields, "protocol", ["TCP", "UDP", "SCTP"]) ?? "TCP"];
}

/** Each entry of a list read by `parse`; errors name the entry. */
export function entriesIn<T>(fields: Fields, key: string, parse: (value: unknown) => T): readonly T[] {
  const list = listIn(fields, key);
  if (list.length === 0) return NONE;
  return list.map((value, i) => {
    try {
      return parse(value);
    } catch (error) {
      throw within(`${key}[${i}]`, error);
    }
  });
}

/** The same for a list of which a bad entry is told of and left out, and so is one for which `parse` gives undefined. */
export function usableIn<T>(
  fields: Fields,
  key: string,
  parse: (value: unknown) => T | undefined,
  problems: Problems | undefined,
): readonly T[] {
  const list = listIn(fields, key);
  if (list.length === 0) return NONE;
  const usable: T[] = [];
  for (const [i, value] of list.entries()) {
    try {
      const entry = parse(value);
      if (entry !== undefined) usable.push(entry);
    } catch (error) {
      if (!isTsnetError(error, "invalid")) throw error;
      problems?.(within(`${key}[${i}]`, error).message);
    }
  }
  return usable.length === 0 ? NONE : usable;
}

/** Runs `read`; what it throws names `field` as well. */
export function inField<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw within(field, error);
  }
}

const CANONICAL_IPV4 = /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;
const LEADING_ZEROS = /(^|[.:])0+(?=\d+(?:\.|\/|$))/g;

/**
 * An address as canonical text. Leading zeros in IPv4 are decimal, as in the objects of old clusters, which the API
 * server still accepts.
 *
 * @throws TsnetError `invalid` if it is none.
 */
export function addressText(value: unknown): string {
  if (typeof value !== "string") throw new TsnetError(`must be an IP address, not ${kindOf(value)}`, INVALID);
  if (CANONICAL_IPV4.test(value)) return value;
  return formatAddress(parseAddress(value.includes(".") ? value.replace(LEADING_ZEROS, "$1") : value));
}

/** A network as canonical text, its host bits cleared, blanks around it ignored. @throws TsnetError `invalid`. */
export function networkText(value: unknown): string {
  if (typeof value !== "string") throw new TsnetError(`must be a CIDR, not ${kindOf(value)}`, INVALID);
  const text = value.trim();
  return formatCidr(networkOf(parseCidr(text.includes(".") ? text.replace(LEADING_ZEROS, "$1") : text)));
}

/** The family of canonical text, of an address or a network. */
export function familyOf(text: string): Family {
  return text.includes(":") ? 6 : 4;
}

const INVALID = { code: "invalid" } as const;

/** The same error with `field` before its message. */
function within(field: string, error: unknown): TsnetError {
  const inner = messageOf(error);
  const message = error instanceof FieldError ? `${field}.${inner}` : `${field}: ${inner}`;
  return new FieldError(message, { code: "invalid", cause: error });
}

/** An error whose message begins with the path of a field. */
class FieldError extends TsnetError {}

/** The error of a field, whose path is put before it on its way out. */
export function invalid(field: string, what: string): TsnetError {
  return new FieldError(`${field} ${what}`, INVALID);
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return JSON.stringify(value).slice(0, 60);
}
