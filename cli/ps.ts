/**
 * `tsnet ps`: the containers that there are.
 *
 * @module
 */
import type { Command } from "commander";
import { info } from "../lib/log.ts";
import { State } from "../standalone/state/state.ts";
import { printContainers } from "./containers.ts";
import { formatOf, withOutput } from "./output.ts";
import { type ProjectOptions, projectOf, withProject } from "./project.ts";
import { printNames } from "./stop.ts";

type Options = ProjectOptions & { readonly all?: boolean; readonly quiet?: boolean; readonly output?: unknown };

export function register(program: Command): void {
  withOutput(withProject(program.command("ps")))
    .description("list containers: of the project here, or of all where there is none")
    .option("-a, --all", "of all projects")
    .option("-q, --quiet", "names alone, one a line")
    .addHelpText(
      "after",
      "\nExamples:\n  tsnet ps\n  tsnet ps -a -o json\n  tsnet rm -f $(tsnet ps -q --project local)",
    )
    .action((options: Options) => {
      const project = options.all === true ? undefined : projectOf(options);
      const containers = new State().containers();
      const shown = containers.filter((record) => project === undefined || record.project === project);
      if (options.quiet === true)
        printNames(
          shown.map(({ name }) => name),
          options,
        );
      else printContainers(formatOf(options), shown, project === undefined);
      const others = containers.length - shown.length;
      if (shown.length === 0 && others > 0 && options.quiet !== true && formatOf(options) === "table")
        info(`nothing of ${project} is up, and ${others} of other projects: tsnet ps -a shows all`);
    });
}
