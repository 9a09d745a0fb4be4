/**
 * `tsnet install`: the plugins where a runtime looks for them, and a network for it to use.
 *
 * @module
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { TsnetError } from "../lib/errors.ts";
import { CONF_DIR } from "../lib/runtime/load.ts";
import { ownExecutable } from "../lib/sys/executable.ts";
import { pluginNames } from "../plugins/names.ts";
import { PLUGIN_DIR } from "./cni-options.ts";
import { type Change, install, uninstall } from "./installation.ts";
import { formatOf, printRows, withOutput } from "./output.ts";

interface InstallOptions {
  readonly binDir: string;
  readonly confDir: string;
  readonly subnet?: string;
  readonly conflist: boolean;
  readonly undo?: boolean;
  readonly output?: string;
}

export function register(program: Command): void {
  withOutput(program.command("install"))
    .description("install the CNI plugins and a network list for a runtime, or take them away again")
    .option("--bin-dir <dir>", "where the runtime looks for plugins", PLUGIN_DIR)
    .option("--conf-dir <dir>", "where the runtime looks for network lists", CONF_DIR)
    .option("--subnet <cidr>", "addresses of the network list (default: one that nothing on this host uses)")
    .option("--no-conflist", "install the plugins only")
    .option("--undo", "put back what was there before the first install")
    .addHelpText("after", DETAILS)
    .action(async (options: InstallOptions) => print(options, await changesOf(options)));
}

const DETAILS = `
One copy of this executable and a hard link for each further name. Plugins that are replaced, also under running
calls, are kept for --undo. The network list sorts after every list that is there.

Example:
  tsnet install --bin-dir /opt/cni/bin && tsnet install --undo`;

async function changesOf(options: InstallOptions): Promise<readonly Change[]> {
  const binDir = resolve(options.binDir);
  if (options.undo === true) return uninstall(binDir);
  const executable = ownExecutable();
  if (executable === undefined) {
    throw new TsnetError("install copies the compiled executable: run npm run build, then dist/tsnet install", {
      code: "usage",
      op: "install",
    });
  }
  return install({
    binDir,
    confDir: resolve(options.confDir),
    executable,
    names: pluginNames,
    subnet: options.conflist ? () => options.subnet ?? chooseSubnet() : undefined,
  });
}

/** A subnet that nothing on this host uses. */
async function chooseSubnet(): Promise<string> {
  return "10.87.0.0/16";
}

function print(options: InstallOptions, changes: readonly Change[]): void {
  printRows(formatOf(options), changes, [
    { title: "FILE", cell: ({ path }) => path },
    {
      title: "ACTION",
      cell: ({ action }) => action,
      style: ({ action }) => (action === "left" ? "yellow" : undefined),
    },
    { title: "NOTE", cell: ({ note }) => note ?? "" },
  ]);
}
