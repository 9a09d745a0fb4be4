/**
 * `tsnet stop`: containers whose commands are ended.
 *
 * @module
 */
import { type Command, InvalidArgumentError } from "commander";
import { GRACE_SECONDS } from "../standalone/container/stop.ts";
import { stop } from "../standalone/remove.ts";
import { State } from "../standalone/state/state.ts";
import { formatOf, printJson, printLine, withOutput } from "./output.ts";
import { requireRoot } from "./project.ts";

export function register(program: Command): void {
  withOutput(withGrace(program.command("stop")))
    .description("end the commands of containers, whoever started them")
    .argument("<name...>", "the containers")
    .addHelpText("after", HELP)
    .action(async (names: readonly string[], options: GraceOptions & { readonly output?: unknown }) => {
      requireRoot("tsnet stop");
      await stop(names, { state: new State(), graceSeconds: options.time });
      printNames(names, options);
    });
}

export interface GraceOptions {
  readonly time: number;
}

/** Gives a command `-t, --time`. */
export function withGrace(command: Command): Command {
  return command.option(
    "-t, --time <seconds>",
    "how long a command may take after TERM before it is killed",
    parseSeconds,
    GRACE_SECONDS,
  );
}

/** Prints what was dealt with, a name a line. */
export function printNames(names: readonly string[], options: { readonly output?: unknown }): void {
  if (formatOf(options) === "json") printJson(names);
  else for (const name of names) printLine(name);
}

function parseSeconds(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number of seconds.");
}

const HELP = `
What it wrote stays for tsnet logs, and tsnet ps shows it until tsnet rm takes it away. Its addresses and ports are
free at once. A container of a file is started again by tsnet up.

Example:
  tsnet stop -t 30 web`;
