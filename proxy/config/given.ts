/**
 * What the command line gave: texts by flag, read by kind.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { FORMS, type Value, valueOfTexts } from "./kinds.ts";
import { FLAGS, type Flag } from "./names.ts";

/**
 * The flags that were given, by name without dashes (proxy/config/names.ts), with the texts of each in the order
 * given. Plain data: it crosses from the command's file to the proxy's.
 */
export type ProxyFlags = Readonly<Record<string, readonly string[]>>;

/** One flag that was given. */
export interface Given {
  readonly name: string;
  readonly flag: Flag;
  readonly value: Value;
}

/** Reads every flag. @throws TsnetError `usage` with a line for each that makes no sense. */
export function readFlags(flags: ProxyFlags): ReadonlyMap<string, Given> {
  const given = new Map<string, Given>();
  const wrong: string[] = [];
  for (const [name, texts] of Object.entries(flags)) {
    const flag = FLAGS[name];
    const value = flag === undefined ? undefined : valueOfTexts(flag.kind, texts);
    if (flag === undefined) wrong.push(`no such flag: --${name}`);
    else if (value === undefined) wrong.push(`--${name}=${texts.at(-1)}: wanted is ${FORMS[flag.kind]}`);
    else given.set(name, { name, flag, value });
  }
  if (wrong.length > 0) throw new TsnetError(wrong.join("\n"), { code: "usage", op: "read flags" });
  return given;
}

/** The value of a flag that takes a text; undefined if it was not given. */
export function textOf(given: ReadonlyMap<string, Given>, name: string): string | undefined {
  const value = given.get(name)?.value;
  return typeof value === "string" ? value : undefined;
}

/** Whether a flag was given as true. */
export function isOn(given: ReadonlyMap<string, Given>, name: string): boolean {
  return given.get(name)?.value === true;
}

/** The value of a flag that takes a number; undefined if it was not given. */
export function numberOf(given: ReadonlyMap<string, Given>, name: string): number | undefined {
  const value = given.get(name)?.value;
  return typeof value === "number" ? value : undefined;
}
