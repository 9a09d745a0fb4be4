/**
 * `tsnet up`: the networks and containers of a tsnet.yaml, made so.
 *
 * @module
 */
import type { Command } from "commander";
import { loadProject } from "../standalone/file/file.ts";
import { State } from "../standalone/state/state.ts";
import { up } from "../standalone/up.ts";
import { printContainers } from "./containers.ts";
import { formatOf, withOutput } from "./output.ts";
import { fileOf, type ProjectOptions, requireRoot, withFile } from "./project.ts";

export function register(program: Command): void {
  withOutput(withFile(program.command("up")))
    .description("start the networks and containers of a tsnet.yaml, or bring them up to date with it")
    .addHelpText("after", HELP)
    .action(async (options: ProjectOptions & { readonly output?: unknown }) => {
      requireRoot("tsnet up");
      const project = loadProject(fileOf(options));
      const state = new State();
      await up(project, state);
      printContainers(
        formatOf(options),
        state.containers().filter((record) => record.project === project.name),
      );
    });
}

const HELP = `
What runs as the file says is left alone; what left the file is removed. Run it again after an edit, after a
command has ended, after it was interrupted, or after something else took our rules away.

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
