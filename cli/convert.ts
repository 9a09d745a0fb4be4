/**
 * `tsnet convert`: an existing network list as one exec a call.
 *
 * @module
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { TsnetError } from "../lib/errors.ts";
import { readIfThere, replaceFile } from "../lib/sys/files.ts";
import { writeStderr, writeStdout } from "../lib/sys/stdio.ts";
import { convertList } from "./conversion.ts";
import { differenceOf } from "./difference.ts";
import { usageError } from "./output.ts";

interface ConvertOptions {
  readonly write?: boolean;
  readonly out?: string;
}

export function register(program: Command): void {
  program
    .command("convert")
    .description("turn a network list into one whose plugins are done in one process")
    .argument("<file>", "a network list: a .conflist of /etc/cni/net.d")
    .option("-w, --write", "write it back to the file")
    .option("-o, --out <file>", "write it to another file")
    .addHelpText("after", DETAILS)
    .action(convert);
}

const DETAILS = `
bridge, portmap, firewall, bandwidth and tuning become the parts of one plugin of type tsnet; others stay plugins of
the list, in order. The difference goes to standard error, the list to standard output unless -w or -o is given. A
list that does not work as it stands is refused, and its file left as it is.

Example:
  tsnet convert /etc/cni/net.d/10-front.conflist -w`;

async function convert(file: string, { write, out }: ConvertOptions): Promise<void> {
  if (write === true && out !== undefined) throw usageError("-w and -o exclude each other", "give one of them");
  const text = readIfThere(file);
  if (text === undefined) throw new TsnetError(`no file ${file}`, { code: "not-found", op: "convert" });
  const { before, after, plugins } = await convertList(text, file);
  const target = write === true ? file : out;
  if (before === after) writeStderr(`${file}: nothing to convert\n`);
  else writeStderr(differenceOf(before, after));
  writeStderr(plugins.map((line) => `${line}\n`).join(""));
  if (target === undefined) writeStdout(after);
  else if (write !== true || before !== after) replaceFile(resolve(target), after);
}
