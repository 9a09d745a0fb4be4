/**
 * The flags of a daemon's table as options of its command. What they mean is for the daemon to say: the command
 * collects texts.
 *
 * @module
 */
import { type Command, Option } from "commander";
import type { Flags, GoFlag } from "../lib/daemon/flags.ts";

/**
 * Adds an option for each flag, and returns what gathers there once the command line is read.
 *
 * @param others The heading in help over the flags that are ours.
 */
export function addGoFlags(
  command: Command,
  table: Readonly<Record<string, GoFlag>>,
  others: string,
): { readonly flags: () => Flags } {
  const given = new Map<string, string[]>();
  for (const [name, flag] of Object.entries(table)) {
    const value =
      flag.kind === "bool" || flag.bare !== undefined ? "[value]" : `<${KIND_NAMES[flag.kind] ?? flag.kind}>`;
    const option = new Option(`${name === "v" ? "-v, " : ""}--${name} ${value}`, flag.help)
      .argParser((text: string) => given.set(name, [...(given.get(name) ?? []), text]))
      .helpGroup(flag.ours === true ? others : "Options:");
    command.addOption(flag.help === "accepted" ? option.hideHelp() : option);
  }
  return { flags: () => Object.fromEntries(given) };
}

const KIND_NAMES: Readonly<Record<string, string>> = { each: "text" };
