/**
 * `tsnet down`: a project's containers and networks, gone.
 *
 * @module
 */
import type { Command } from "commander";
import { info } from "../lib/log.ts";
import { down } from "../standalone/down.ts";
import { FILE_NAME } from "../standalone/file/file.ts";
import { State } from "../standalone/state/state.ts";
import { formatOf, printJson, printLine, usageError, withOutput } from "./output.ts";
import { withProgress } from "./progress.ts";
import { type ProjectOptions, projectOf, requireRoot, withProject } from "./project.ts";
import { type GraceOptions, withGrace } from "./stop.ts";

export function register(program: Command): void {
  withOutput(withGrace(withProject(program.command("down"))))
    .description("stop and remove the containers and networks of a project")
    .addHelpText("after", HELP)
    .action(async (options: ProjectOptions & GraceOptions & { readonly output?: unknown }) => {
      requireRoot("tsnet down");
      const project = projectOf(options);
      if (project === undefined)
        throw usageError(`no ${FILE_NAME} here`, "name the project with --project, or its file with -f");
      const done = await withProgress((progress) =>
        down(project, { state: new State(), graceSeconds: options.time, progress }),
      );
      if (formatOf(options) === "json") printJson({ project, ...done });
      else printLine(summaryOf(project, done.containers.length, done.networks.length));
      for (const key of done.stillForwarding) {
        info(
          `${key} stays on, as others may need it by now. If nobody does, turn it off, or this host forwards for anybody: sysctl -w ${key}=0`,
        );
      }
    });
}

function summaryOf(project: string, containers: number, networks: number): string {
  if (containers + networks === 0) return `nothing of ${project} is up`;
  const removed = [
    ...(containers === 0 ? [] : [count(containers, "container")]),
    ...(networks === 0 ? [] : [count(networks, "network")]),
  ];
  return `${project}: removed ${removed.join(" and ")}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

const HELP = `
All containers get TERM at once, and KILL when the time is over; one that does not listen to TERM is killed at once.

Examples:
  tsnet down
  tsnet down --project hello -t 30`;
