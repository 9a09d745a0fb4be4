/**
 * `tsnet install`: the plugins where a runtime looks for them, and a network for it to use.
 *
 * @module
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { messageOf, TsnetError } from "../lib/errors.ts";
import { type Cidr, networkOf, parseCidr } from "../lib/net/cidr.ts";
import { CONF_DIR, networkFiles } from "../lib/runtime/load.ts";
import { ownExecutable } from "../lib/sys/executable.ts";
import { readIfThere } from "../lib/sys/files.ts";
import { pluginNames } from "../plugins/names.ts";
import { PLUGIN_DIR } from "./cni-options.ts";
import { conflistText } from "./conflist.ts";
import { type Change, install, uninstall } from "./installation.ts";
import { formatOf, printRows, usageError, withOutput } from "./output.ts";

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
  const confDir = resolve(options.confDir);
  return install({
    binDir,
    confDir,
    executable,
    names: pluginNames,
    listText: options.conflist ? () => networkList(confDir, options.subnet) : undefined,
  });
}

/** The list's text: a bridge and a subnet that nothing on this host has, or the subnet that was asked for. */
async function networkList(confDir: string, wanted: string | undefined): Promise<string> {
  const asked = wanted === undefined ? undefined : parseSubnet(wanted);
  const { readFacts, rangesIn } = await import("../standalone/host/facts.ts");
  const { chooseSubnet, conflictOf, describeTaken } = await import("../standalone/plan/subnet.ts");
  const facts = readFacts(new Set());
  const beside = networkFiles(confDir).flatMap((name) => rangesIn(readIfThere(`${confDir}/${name}`) ?? "", name));
  const taken = [...facts.taken, ...beside];
  const conflict = asked === undefined ? undefined : conflictOf(asked, taken);
  if (conflict !== undefined) {
    throw new TsnetError(`subnet ${wanted} is in conflict with ${describeTaken(conflict)}: choose another, or none`, {
      code: "conflict",
      op: "install",
    });
  }
  const bridge = Array.from({ length: 100 }, (_, at) => `tsnet${at}`).find((name) => !facts.links.has(name));
  return conflistText({ bridge: bridge ?? "tsnet0", subnet: asked ?? chooseSubnet(taken) });
}

function parseSubnet(text: string): Cidr {
  try {
    return networkOf(parseCidr(text));
  } catch (error) {
    throw usageError(`--subnet: ${messageOf(error)}`, "write it as 10.88.0.0/16");
  }
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
