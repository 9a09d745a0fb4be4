/**
 * Who keeps the helper alive: systemd where it runs, by a transient unit, else a watcher of a few lines of sh. Both
 * start it again 0.1 s after it was killed, and let it be once it ended by itself.
 *
 * @module
 */
import { warn } from "../../lib/log.ts";
import { cgroupPath, makeCgroup } from "../../lib/sys/cgroup.ts";
import { ownExecutable } from "../../lib/sys/executable.ts";
import { exists } from "../../lib/sys/files.ts";
import { identify, namespaceOf, sendSignal } from "../../lib/sys/process.ts";
import { run } from "../../lib/sys/run.ts";
import { findProgram, startDetached } from "../../lib/sys/spawn.ts";
import { ensureSymlink } from "../../lib/sys/trees.ts";
import type { State } from "../state/state.ts";
import { EXIT, HELPER, placeOf } from "./place.ts";

/** sd_booted(3). */
const SYSTEMD = "/run/systemd/system";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Starts the helper, kept; does not wait for it. Where one runs already the new one goes away by itself.
 *
 * Nothing is done where we are no compiled executable, which has no other name to be called by.
 */
export async function startHelper(state: State): Promise<void> {
  const executable = ownExecutable();
  if (executable === undefined) return;
  const { program } = placeOf(state);
  ensureSymlink(executable, program);
  if (exists(SYSTEMD) && (await startByManager(program))) return;
  startWatcher(state);
}

/** Ends the helper of an earlier build: whoever keeps it starts ours in its place. */
export function replaceHelper(state: State, pid: number): void {
  const executable = ownExecutable();
  const helper = identify(pid);
  if (executable === undefined || helper === undefined) return;
  ensureSymlink(executable, placeOf(state).program);
  sendSignal(helper, "SIGKILL");
}

/** Starts a watcher, which first waits for the end of a helper that runs; returns its pid. */
export function startWatcher(state: State): number {
  const { program, lock, log } = placeOf(state);
  const group = cgroupOfHelper();
  const argv = [findProgram("sh"), "-c", WATCHER, program, lock, log, group ?? ""];
  if (group !== undefined) makeCgroup(group);
  return startDetached(argv, { env: { PATH } }).pid;
}

/** The helper's control group, named after the host's network namespace: a machine may hold several hosts. */
export function cgroupOfHelper(): string | undefined {
  return cgroupPath(`tsnet/helper.${namespaceOf("self", "net")}`);
}

/** The command line that makes the unit. */
export function unitCommand(program: string): readonly string[] {
  return [
    "--quiet",
    "--collect",
    `--unit=${HELPER}`,
    "--description=tsnet: names, ports and repair of containers",
    "--property=Restart=on-failure",
    "--property=RestartSec=100ms",
    "--property=StartLimitIntervalSec=0",
    // 203: the program is gone (systemd.exec(5)), as after a `down` while this waited to start it again.
    `--property=RestartPreventExitStatus=${EXIT.anotherRuns} 203`,
    `--setenv=PATH=${PATH}`,
    program,
  ];
}

/**
 * First it leaves the control group of whoever runs us: what ends that one is no reason to end the helper. It does so
 * itself, since joining one takes the kernel up to 15 ms. The lock tells that a helper runs; where the program is gone
 * (126, 127) there is nothing to keep, and the files that trying has made anew go. In the end it leaves its control
 * group and removes that.
 */
const WATCHER = `
[ -z "$3" ] || { echo 0 >"$3/cgroup.procs"; } 2>/dev/null
while :; do
  flock "$1" true
  "$0" >>"$2" 2>&1 && break
  case $? in
    ${EXIT.anotherRuns}) break ;;
    126|127) [ -e "$0" ] || rm -f "$1" "$2"; break ;;
  esac
  sleep 0.1
done
[ -n "$3" ] || exit 0
parent=\${3%/*}
{ echo $$ >"\${parent%/*}/cgroup.procs" && rmdir "$3" "$parent"; } 2>/dev/null
exit 0`;

async function startByManager(program: string): Promise<boolean> {
  try {
    const { exitCode, stderr } = await run("systemd-run", unitCommand(program), { light: true, timeoutMs: 3000 });
    if (exitCode === 0) return true;
    warn(`systemd does not start the helper, so a watcher of ours does: ${stderr.trim()}`);
  } catch {
    // No such program, or a manager that does not answer.
  }
  return false;
}
