/**
 * `tsnet exec`: a command in a running container. Its exit code is ours; 125 means that we failed, 126 that the
 * command cannot be started, 127 that it is not there: Docker's codes.
 *
 * @module
 */
import type { Command } from "commander";
import { isTerminal } from "../lib/sys/spawn.ts";
import { execIn } from "../standalone/exec.ts";
import { State } from "../standalone/state/state.ts";
import { reportError, usageError } from "./output.ts";
import { requireRoot } from "./project.ts";

/** We failed before the command could. */
const FAILED = 125;

interface Options {
  readonly env?: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  readonly tty?: boolean;
}

export function register(program: Command): void {
  program
    .command("exec")
    .description("run a command in a running container")
    .argument("<name>", "the container")
    .argument("<command...>", "the command and its arguments")
    .option(
      "-e, --env <variable>",
      "NAME=VALUE for the command; may be given again",
      (one, all: readonly string[] = []) => [...all, one],
    )
    .option("-u, --user <user>", "USER or USER:GROUP, by name or number (default: the container's)")
    .option("-w, --workdir <path>", "the folder to start in (default: the container's)")
    .option("-i, --interactive", "standard input is passed on anyway")
    .option("-t, --tty", "a terminal is given anyway, if there is one")
    .option("-T, --no-tty", "no terminal for the command, even if there is one")
    .passThroughOptions()
    .addHelpText("after", HELP)
    .action(async (name: string, command: readonly string[], options: Options) => {
      const environment = Object.fromEntries((options.env ?? []).map(parseVariable));
      process.exitCode = await attempt(async () => {
        requireRoot("tsnet exec");
        return execIn(new State().container(name), {
          command,
          environment,
          terminal: options.tty !== false && isTerminal(),
          ...(options.user === undefined ? {} : { user: options.user }),
          ...(options.workdir === undefined ? {} : { workdir: options.workdir }),
        });
      });
    });
}

const HELP = `
Standard input, the terminal, Ctrl-C and the exit code are passed on; 125: tsnet failed, 126: the command cannot be
started, 127: there is no such command.

Examples:
  tsnet exec web sh
  tsnet exec web ping -c 1 shell
  echo hello | tsnet exec web cat`;

async function attempt(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    reportError(error);
    return FAILED;
  }
}

function parseVariable(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw usageError(`--env ${text} is no variable`, "write NAME=VALUE");
  return [text.slice(0, at), text.slice(at + 1)];
}
