/**
 * `tsnet logs`: what a container has written.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { followLog, LOG_ROOM, readLogSoFar } from "../lib/sys/cappedlog.ts";
import { writeStdout } from "../lib/sys/stdio.ts";
import { isLogged, logOf } from "../standalone/container/output.ts";
import { isRunning } from "../standalone/container/stop.ts";
import { State } from "../standalone/state/state.ts";
import { formatOf, printJson, withOutput } from "./output.ts";

interface LogsOptions {
  readonly follow?: boolean;
  readonly lines?: number;
  /** Docker's and podman's word for the same. */
  readonly tail?: number;
  readonly output?: unknown;
}

export function register(program: Command): void {
  withOutput(program.command("logs"))
    .description("print what a container wrote to its standard output and error")
    .argument("<name>", "the container")
    .option("-f, --follow", "go on with what comes, until the container ends")
    .option("-n, --lines <number>", "only the last lines", parseLines)
    .addOption(new Option("--tail <number>").argParser(parseLines).hideHelp())
    .addHelpText(
      "after",
      `\nThe last ${LOG_ROOM / 2_000_000} to ${LOG_ROOM / 1_000_000} MB are kept.\n\nExamples:\n  tsnet logs web\n  tsnet logs -f -n 10 web`,
    )
    .action(async (name: string, options: LogsOptions) => {
      const state = new State();
      const record = state.container(name);
      const folder = state.folderOf(name);
      const log = logOf(folder);
      const { data, end } = readLogSoFar(log);
      const text = lastLines(data.toString(), options.lines ?? options.tail);
      if (formatOf(options) === "json") printJson({ name, lines: text.replace(/\n$/, "").split("\n") });
      else writeStdout(text);
      if (options.follow === true)
        await followLog(log, {
          from: end,
          write: (more) => writeStdout(more.toString()),
          goOn: () => isRunning(record) || !isLogged(folder),
        });
    });
}

function lastLines(text: string, count: number | undefined): string {
  if (count === undefined) return text;
  const lines = text.split(/(?<=\n)/);
  return count === 0 ? "" : lines.slice(-count).join("");
}

function parseLines(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number.");
}
