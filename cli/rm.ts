/**
 * `tsnet rm`: containers that have ended, removed.
 *
 * @module
 */
import type { Command } from "commander";
import { remove } from "../standalone/remove.ts";
import { State } from "../standalone/state/state.ts";
import { withOutput } from "./output.ts";
import { requireRoot } from "./project.ts";
import { type GraceOptions, printNames, withGrace } from "./stop.ts";

export function register(program: Command): void {
  withOutput(withGrace(program.command("rm")))
    .description("remove containers that have ended, with what they wrote")
    .argument("<name...>", "the containers")
    .option("-f, --force", "end those that still run")
    .addHelpText("after", "\nExamples:\n  tsnet rm web\n  tsnet rm -f -t 0 web shell")
    .action(
      async (
        names: readonly string[],
        options: GraceOptions & { readonly force?: boolean; readonly output?: unknown },
      ) => {
        requireRoot("tsnet rm");
        await remove(names, { state: new State(), graceSeconds: options.time, force: options.force === true });
        printNames(names, options);
      },
    );
}
