/**
 * `tsnet version`: what this executable is, for people and bug reports.
 *
 * @module
 */
import type { Command } from "commander";
import { CNI_VERSIONS } from "../lib/cni/supported.ts";
import { version } from "../package.json";
import { pluginNames } from "../plugins/names.ts";
import { formatOf, printRows, withOutput } from "./output.ts";

export function register(program: Command): void {
  withOutput(program.command("version"))
    .description("print the version of tsnet and of what it speaks")
    .addHelpText("after", "\nExample:\n  tsnet version -o json")
    .action((options) => {
      printRows(
        formatOf(options),
        [describe()],
        [
          { title: "VERSION", cell: (row) => row.version },
          { title: "PLATFORM", cell: (row) => row.platform },
          { title: "RUNTIME", cell: (row) => row.runtime },
          { title: "CNI", cell: (row) => `${row.cniVersions.at(0)} to ${row.cniVersions.at(-1)}` },
          { title: "PLUGINS", cell: (row) => row.plugins.join(", ") },
        ],
        ([row]) => row,
      );
    });
}

function describe() {
  return {
    version,
    platform: `${process.platform}-${process.arch}`,
    runtime: `bun ${process.versions.bun}`,
    cniVersions: CNI_VERSIONS,
    plugins: pluginNames,
  };
}
