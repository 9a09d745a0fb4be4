/**
 * The kinds of values that flags and configurations of daemons in Go have, and how each is read: from a flag's text
 * as Go's flag and pflag do, and from a file as its decoder does.
 *
 * @module
 */
import { parseDuration } from "./duration.ts";

/** Durations are in ms. A quantity (`4Ki`) is kept as it is written: nothing here needs its number. */
export interface ValueOf {
  readonly text: string;
  readonly bool: boolean;
  readonly int: number;
  readonly float: number;
  readonly duration: number;
  /** Apart at commas, and added up where the flag is given again. */
  readonly list: readonly string[];
  /** As each was given. */
  readonly each: readonly string[];
  /** Feature gates: name to on or off. */
  readonly gates: Readonly<Record<string, boolean>>;
  readonly quantity: string;
  /** `[{filePattern, verbosity}]`, as `pattern=N` texts. */
  readonly patterns: readonly string[];
}

export type Kind = keyof ValueOf;

export type Value = ValueOf[Kind];

/** What a value of each kind looks like, for messages. */
export const FORMS: Readonly<Record<Kind, string>> = {
  text: "a text",
  bool: "true or false",
  int: "a whole number",
  float: "a number",
  duration: "a duration such as 30s, 1m30s or 2h",
  list: "a list of texts",
  each: "a text",
  gates: "feature gates, such as SomeFeature=true",
  quantity: "a quantity such as 0 or 4Ki",
  patterns: "a list of file patterns and verbosities",
};

const TRUE = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE = ["0", "f", "F", "FALSE", "false", "False"];
const INT = /^[+-]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|\d+)$/;
const QUANTITY = /^[+-]?\d+(\.\d*)?([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;
const INT32 = 2 ** 31;

/** The value that a flag's texts mean, in the order given: lists add up, of others the last counts. Undefined: none. */
export function valueOfTexts(kind: Kind, texts: readonly string[]): Value | undefined {
  const text = texts.at(-1) ?? "";
  switch (kind) {
    case "text":
      return text;
    case "bool":
      return parseBool(text);
    case "int":
      return parseInt32(text);
    case "float":
      return text.trim() === "" || Number.isNaN(Number(text)) ? undefined : Number(text);
    case "duration":
      return parseDuration(text);
    case "list":
      return texts.flatMap((one) => (one === "" ? [] : one.split(",")));
    case "each":
      return texts;
    case "gates":
      return parseGates(texts);
    case "quantity":
      return QUANTITY.test(text) ? text : undefined;
    case "patterns":
      return texts.flatMap((one) => (one === "" ? [] : one.split(",")));
  }
}

/** The value that a file's YAML or JSON means; undefined if it is none of the kind. */
export function valueOfData(kind: Kind, data: unknown): Value | undefined {
  switch (kind) {
    case "text":
      return typeof data === "string" ? data : undefined;
    case "bool":
      return typeof data === "boolean" ? data : undefined;
    case "int":
      return isInt32(data) ? data : undefined;
    case "float":
      return typeof data === "number" && Number.isFinite(data) ? data : undefined;
    case "duration":
      // A bare number is of ns; Go takes it in logging.flushFrequency alone, where kubeadm writes 0.
      return typeof data === "number" ? data / 1e6 : typeof data === "string" ? parseDuration(data) : undefined;
    case "list":
    case "each":
      return isTexts(data) ? data : undefined;
    case "gates":
      return isGates(data) ? data : undefined;
    case "quantity":
      return QUANTITY.test(String(data)) ? String(data) : undefined;
    case "patterns":
      return patternsOf(data);
  }
}

function parseBool(text: string): boolean | undefined {
  return TRUE.includes(text) ? true : FALSE.includes(text) ? false : undefined;
}

function parseInt32(text: string): number | undefined {
  if (!INT.test(text)) return undefined;
  const digits = text.replace(/^[+-]/, "").replace(/^0(?=\d)/, "0o");
  const value = Number(digits) * (text.startsWith("-") ? -1 : 1);
  return isInt32(value) ? value : undefined;
}

function parseGates(texts: readonly string[]): Readonly<Record<string, boolean>> | undefined {
  const gates: Record<string, boolean> = {};
  for (const pair of texts.flatMap((one) => one.split(",")).filter((one) => one !== "")) {
    const [name = "", ...rest] = pair.split("=");
    const on = parseBool(rest.join("=").trim());
    if (on === undefined) return undefined;
    gates[name.trim()] = on;
  }
  return gates;
}

function patternsOf(data: unknown): readonly string[] | undefined {
  if (!Array.isArray(data)) return undefined;
  const patterns = data.map((item: unknown) =>
    typeof item === "object" && item !== null && "filePattern" in item
      ? `${item.filePattern}=${"verbosity" in item ? item.verbosity : 0}`
      : undefined,
  );
  return isTexts(patterns) ? patterns : undefined;
}

function isInt32(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= -INT32 && value < INT32;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function isGates(value: unknown): value is Readonly<Record<string, boolean>> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === "boolean")
  );
}
