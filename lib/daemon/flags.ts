/**
 * What a command line gave in Go's flags: texts by flag, read by kind. A daemon's table says which flags there are.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { FORMS, type Kind, type Value, valueOfTexts } from "./kinds.ts";

/** A flag of a daemon's table, where it stands under its name without dashes. */
export interface GoFlag {
  readonly kind: Kind;
  readonly help: string;
  /** None of the daemon's whose place this one takes. */
  readonly ours?: true;
  /** What it means without a value, where it may go without; all of kind bool mean true. */
  readonly bare?: string;
}

/**
 * The flags that were given, by name without dashes, with the texts of each in the order given. Plain data: it crosses
 * from the command's file to the daemon's.
 */
export type Flags = Readonly<Record<string, readonly string[]>>;

/** One flag that was given. */
export interface Given<F extends GoFlag = GoFlag> {
  readonly name: string;
  readonly flag: F;
  readonly value: Value;
}

/** Reads every flag. @throws TsnetError `usage` with a line for each that makes no sense. */
export function readFlags<F extends GoFlag>(
  flags: Flags,
  table: Readonly<Record<string, F>>,
): ReadonlyMap<string, Given<F>> {
  const given = new Map<string, Given<F>>();
  const wrong: string[] = [];
  for (const [name, texts] of Object.entries(flags)) {
    const flag = table[name];
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

/** The values of a flag that takes several texts; none if it was not given. */
export function listOf(given: ReadonlyMap<string, Given>, name: string): readonly string[] {
  const value = given.get(name)?.value;
  return Array.isArray(value) ? value.map(String) : [];
}
