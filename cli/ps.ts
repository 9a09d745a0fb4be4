/**
 * `tsnet ps`: the containers that there are.
 *
 * @module
 */
import type { Command } from "commander";
import { State } from "../standalone/state/state.ts";
import { printContainers } from "./containers.ts";
import { formatOf, withOutput } from "./output.ts";
import { type ProjectOptions, projectOf, withProject } from "./project.ts";

export function register(program: Command): void {
  withOutput(withProject(program.command("ps")))
    .description("list containers: of the project here, or of all where there is none")
    .option("-a, --all", "of all projects")
    .addHelpText("after", "\nExamples:\n  tsnet ps\n  tsnet ps -a -o json")
    .action((options: ProjectOptions & { readonly all?: boolean; readonly output?: unknown }) => {
      const project = options.all === true ? undefined : projectOf(options);
      const containers = new State().containers();
      const shown = containers.filter((record) => project === undefined || record.project === project);
      printContainers(formatOf(options), shown, project === undefined);
    });
}
