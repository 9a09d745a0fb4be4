/**
 * `exec`: a command in a running container, as if the container had started it: its namespaces, its root, its
 * rights, its environment, its control group.
 *
 * @module
 */
import { TsnetError } from "../lib/errors.ts";
import { joinCgroup } from "../lib/sys/cgroup.ts";
import { useUsualFiles } from "../lib/sys/limits.ts";
import { childrenOf, identify, sendSignal } from "../lib/sys/process.ts";
import { runAttached, useUsualUmask } from "../lib/sys/spawn.ts";
import { environmentOf, execChain } from "./container/chain.ts";
import { userOf } from "./container/prepare.ts";
import { checkWorkdir } from "./container/program.ts";
import { findPrograms } from "./container/start.ts";
import { isRunning } from "./container/stop.ts";
import { COMMAND_PROJECT } from "./file/project.ts";
import type { ContainerRecord } from "./state/records.ts";

export interface ExecOptions {
  readonly command: readonly string[];
  /** Beside the container's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** `USER[:GROUP]`; the container's unless given. */
  readonly user?: string;
  /** Absolute, seen from inside; the container's unless given. */
  readonly workdir?: string;
  /** Whether it gets a terminal, joined to ours. */
  readonly terminal: boolean;
}

/**
 * Runs the command to its end. Returns its exit code; 126 if it cannot be started, 127 if it is not there.
 *
 * @throws TsnetError `conflict` if the container does not run; `not-found` for an unknown user.
 */
export async function execIn(record: ContainerRecord, options: ExecOptions): Promise<number> {
  const { process: first, cgroup } = record;
  if (record.network === "foreign") {
    throw new TsnetError(`${record.name} was not started by tsnet: use nsenter, or exec of what started it`, {
      code: "conflict",
      op: "exec",
    });
  }
  if (first === undefined || !isRunning(record)) {
    const way = record.project === COMMAND_PROJECT ? "tsnet run makes another" : "tsnet up starts it again";
    throw new TsnetError(`container ${record.name} does not run: ${way}`, {
      code: "conflict",
      op: "exec",
    });
  }
  const start = { ...record.start, environment: { ...record.start.environment, ...options.environment } };
  const user = userOf({ rootfs: start.rootfs, user: options.user ?? start.user });
  if (options.workdir !== undefined) checkWorkdir(record.name, options.workdir, `/proc/${first.pid}/root`);
  const argv = execChain({
    start,
    user,
    programs: findPrograms(),
    pid: first.pid,
    workdir: options.workdir ?? start.workdir,
    command: options.command,
    terminal: options.terminal,
  });
  useUsualUmask();
  useUsualFiles(process.pid);
  // What we start is of our group: so none of it outlives the container, and we do not either.
  if (cgroup !== undefined) joinCgroup(`${cgroup}/run`, process.pid);
  return runAttached(argv, { env: environmentOf(start, user), terminal: options.terminal, signalled: passOn });
}

/** Hands a signal to the command, which is the child of the program that stepped into the pid namespace. */
function passOn(pid: number, signal: NodeJS.Signals): void {
  for (const child of childrenOf(pid)) {
    const command = identify(child);
    if (command !== undefined) sendSignal(command, signal);
  }
}
