/**
 * Which project a command is about: that of a file, or one by name.
 *
 * @module
 */
import type { Command } from "commander";
import { TsnetError } from "../lib/errors.ts";
import { exists } from "../lib/sys/files.ts";
import { FILE_NAME, loadName } from "../standalone/file/file.ts";
import { usageError } from "./output.ts";

export interface ProjectOptions {
  readonly file?: string;
  readonly project?: string;
}

/** Gives a command `-f, --file`. */
export function withFile(command: Command): Command {
  return command.option("-f, --file <path>", `the project's file (default: ${FILE_NAME} here)`);
}

/** Gives a command `-f, --file` and `--project`. */
export function withProject(command: Command): Command {
  return withFile(command).option("--project <name>", "the project by its name; its file is not needed");
}

/** The path of the file that the options mean. */
export function fileOf({ file }: ProjectOptions): string {
  return file ?? FILE_NAME;
}

/** The name of the project that the options mean; undefined where nothing is said and no file is here. */
export function projectOf(options: ProjectOptions): string | undefined {
  if (options.project === undefined) {
    return options.file === undefined && !exists(FILE_NAME) ? undefined : loadName(fileOf(options));
  }
  if (options.file !== undefined) throw usageError("--file and --project name the same thing", "give one of them");
  return options.project;
}

/** Namespaces, links and rules are root's. @throws TsnetError `permission`. */
export function requireRoot(command: string): void {
  if (process.getuid?.() === 0) return;
  throw new TsnetError(`${command} makes namespaces, links and rules: run it as root`, {
    code: "permission",
    op: command,
  });
}
