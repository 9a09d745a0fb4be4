/**
 * Small parsers for JSON that we wrote ourselves and read back: from unknown to typed, or an error that names the
 * place. Put together they describe a file once, for the compiler and at run time.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";

/** `at` is where the value stands, for messages. */
export type Parser<T> = (value: unknown, at: string) => T;
type Parsers = Readonly<Record<string, Parser<unknown>>>;
type Parsed<P extends Parsers> = { readonly [Key in keyof P]: ReturnType<P[Key]> };

export const text: Parser<string> = (value, at) => (typeof value === "string" ? value : wrong(value, at, "a string"));
export const number: Parser<number> = (value, at) => (typeof value === "number" ? value : wrong(value, at, "a number"));
export const flag: Parser<boolean> = (value, at) =>
  typeof value === "boolean" ? value : wrong(value, at, "true or false");

/** One of the given words. */
export function word<Word extends string>(...words: readonly Word[]): Parser<Word> {
  return (value, at) => words.find((one) => one === value) ?? wrong(value, at, words.join(" or "));
}

export function list<T>(of: Parser<T>): Parser<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return wrong(value, at, "a list");
    return value.map((one, index) => of(one, `${at}[${index}]`));
  };
}

/** An object with keys of any name. */
export function record<T>(of: Parser<T>): Parser<Readonly<Record<string, T>>> {
  return (value, at) =>
    Object.fromEntries(Object.entries(asObject(value, at)).map(([key, one]) => [key, of(one, `${at}.${key}`)]));
}

/** An object with known keys; others are left out. */
export function object<Required extends Parsers, Optional extends Parsers = Record<never, never>>(
  required: Required,
  optional?: Optional,
): Parser<Parsed<Required> & Partial<Parsed<Optional>>> {
  return (value, at) => {
    const found = asObject(value, at);
    const parse = (parsers: Parsers, keys: readonly string[]) =>
      keys.map((key) => [key, parsers[key]?.(found[key], `${at}.${key}`)] as const);
    const present = Object.keys(optional ?? {}).filter((key) => found[key] !== undefined);
    const entries = [...parse(required, Object.keys(required)), ...parse(optional ?? {}, present)];
    // The compiler cannot follow that the entries are just these keys.
    return Object.fromEntries(entries) as Parsed<Required> & Partial<Parsed<Optional>>;
  };
}

function asObject(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  return wrong(value, at, "an object");
}

function wrong(value: unknown, at: string, wanted: string): never {
  const found = JSON.stringify(value)?.slice(0, 40) ?? "nothing";
  throw new TsnetError(`${at}: found ${found}, wanted ${wanted}`, { code: "decoding", op: "read state" });
}
