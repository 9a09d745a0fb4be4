/**
 * Ending containers: TERM, some time, KILL; all of them at once. Whatever a container started goes with it, also
 * what left its session: by its control group, and with a pid namespace by its first process, whose end is the end
 * of all others there.
 *
 * @module
 */
import { cgroupPids, killCgroup, removeCgroup } from "../../lib/sys/cgroup.ts";
import {
  catchesSignal,
  commandLineOf,
  fileSeenBy,
  identify,
  isAlive,
  namespaceOf,
  type ProcessIdentity,
  pids,
  sendSignal,
} from "../../lib/sys/process.ts";
import type { ContainerRecord } from "../state/records.ts";
import { gateOf } from "./start.ts";

/** Seconds between TERM and KILL unless somebody says otherwise. */
export const GRACE_SECONDS = 10;

// What a killed process needs to be gone: the kernel has the last word.
const KILL_TIMEOUT = 10_000;
// What the log's pump may still have to write.
const PUMP_TIMEOUT = 1000;

/** Whether the container's first process runs. */
export function isRunning({ process }: ContainerRecord): boolean {
  return process !== undefined && isAlive(process);
}

/**
 * Ends a container, and returns when nothing of it is left.
 *
 * A first process of a pid namespace that has no handler for TERM would not notice it, so it is killed at once.
 */
export async function stopContainer(record: ContainerRecord, folder: string, graceSeconds: number): Promise<void> {
  const { process, start, cgroup } = record;
  if (process !== undefined && isAlive(process) && graceSeconds > 0) {
    const listens = start.shares.includes("pid") || catchesSignal(process.pid, "SIGTERM");
    if (listens && sendSignal(process, "SIGTERM")) await gone(() => !isAlive(process), graceSeconds * 1000);
  }
  const strays = process === undefined ? chainOf(folder) : [process, ...companions(record)];
  if (cgroup !== undefined) killCgroup(`${cgroup}/run`);
  for (const stray of strays) sendSignal(stray, "SIGKILL");
  await gone(() => !strays.some(isAlive) && membersOf(cgroup, "run").length === 0, KILL_TIMEOUT);
  if (cgroup === undefined) return;
  await gone(() => membersOf(cgroup, "log").length === 0, PUMP_TIMEOUT);
  killCgroup(cgroup);
  await gone(() => removeCgroup(cgroup), KILL_TIMEOUT);
}

/**
 * The processes that wait at the container's gate, where a killed `up` left them: found by the gate in their command
 * line, which has to be the very one that we see at that path.
 */
function chainOf(folder: string): readonly ProcessIdentity[] {
  const gate = gateOf(folder);
  const file = fileSeenBy(process.pid, gate);
  if (file === undefined) return [];
  const waiting = pids().filter((pid) => commandLineOf(pid).includes(gate) && fileSeenBy(pid, gate) === file);
  return waiting.flatMap((pid) => identify(pid) ?? []);
}

/** Without a control group: what shares the mount namespace of a container that sees the host's pids. */
function companions({ process, start, cgroup }: ContainerRecord): readonly ProcessIdentity[] {
  const needed = cgroup === undefined && start.shares.includes("pid") && !start.shares.includes("mount");
  if (!needed || process === undefined || !isAlive(process)) return [];
  const mounts = namespaceOf(process.pid, "mnt");
  return pids().flatMap((pid) => (namespaceOf(pid, "mnt") === mounts ? (identify(pid) ?? []) : []));
}

function membersOf(cgroup: string | undefined, part: "run" | "log"): readonly number[] {
  return cgroup === undefined ? [] : cgroupPids(`${cgroup}/${part}`);
}

/** Waits until `done`, but no longer than `ms`. */
async function gone(done: () => boolean, ms: number): Promise<void> {
  const deadline = performance.now() + ms;
  for (let pause = 1; !done() && performance.now() < deadline; pause = Math.min(pause * 2, 20)) await Bun.sleep(pause);
}
