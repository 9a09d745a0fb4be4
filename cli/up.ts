/**
 * `tsnet up`: the networks and containers of a tsnet.yaml, made so.
 *
 * @module
 */
import type { Command } from "commander";
import { info } from "../lib/log.ts";
import { usePlugins } from "../standalone/attach.ts";
import { loadProject } from "../standalone/file/file.ts";
import type { Step } from "../standalone/plan/steps.ts";
import { State } from "../standalone/state/state.ts";
import { up } from "../standalone/up.ts";
import { printContainers } from "./containers.ts";
import { type Column, formatOf, type OutputFormat, printLine, printRows, withOutput } from "./output.ts";
import { executeHere } from "./plugins-here.ts";
import { withProgress } from "./progress.ts";
import { fileOf, type ProjectOptions, requireRoot, withFile } from "./project.ts";

interface Options extends ProjectOptions {
  readonly dryRun?: boolean;
  readonly output?: unknown;
}

export function register(program: Command): void {
  withOutput(withFile(program.command("up")))
    .description("start the networks and containers of a tsnet.yaml, or bring them up to date with it")
    .option("-n, --dry-run", "show what there is to do, and do nothing")
    .option("-d, --detach", "containers are in the background anyway")
    .addHelpText("after", HELP)
    .action(async (options: Options) => {
      requireRoot("tsnet up");
      usePlugins(executeHere);
      const project = loadProject(fileOf(options));
      const state = new State();
      if (options.dryRun === true) {
        const { steps } = await up(project, state, { dryRun: true });
        return printSteps(formatOf(options), steps);
      }
      const { steps } = await withProgress((progress) => up(project, state, { progress }));
      for (const { name, action, how } of steps) {
        if (action === "remake") info(`${name} was made anew: ${how}`);
      }
      printContainers(
        formatOf(options),
        state.containers().filter((record) => record.project === project.name),
      );
    });
}

function printSteps(format: OutputFormat, steps: readonly Step[]): void {
  if (format === "table" && steps.length === 0) printLine("all is as the file says");
  else printRows(format, steps, STEP_COLUMNS);
}

const STEP_COLUMNS: readonly Column<Step>[] = [
  { title: "ACTION", cell: ({ action }) => action, style: ({ action }) => (action === "remove" ? "red" : undefined) },
  { title: "WHAT", cell: ({ what }) => what },
  { title: "NAME", cell: ({ name }) => name },
  { title: "HOW", cell: ({ how }) => how },
];

const HELP = `
What runs as the file says is left alone; what left the file is removed. Networks, addresses, aliases and ports of a
container are changed while it runs; where that cannot be it is made anew, and up says why. Run it again after an
edit, after a command has ended, after it was interrupted, or after something else took our rules away.

Example:
  cat > tsnet.yaml <<END
  networks:
    front: { subnet: 10.88.1.0/24 }
  containers:
    web:
      networks: [front]
      ports: ["8080:80"]
      command: [busybox, httpd, -f, -p, "80", -h, /srv/www]
  END
  tsnet up`;
