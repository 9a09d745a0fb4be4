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
  type HeldNamespace,
  holdMounts,
  identify,
  isAlive,
  namespaceOf,
  type ProcessIdentity,
  pids,
  sendSignal,
} from "../../lib/sys/process.ts";
import type { ContainerRecord } from "../state/records.ts";
import { gateOf } from "./launch.ts";
import { untilLogged } from "./output.ts";

/** Seconds between TERM and KILL unless somebody says otherwise. */
export const GRACE_SECONDS = 10;

// What a killed process needs to be gone: the kernel has the last word.
const KILL_TIMEOUT = 10_000;
// What a log's pump may still have to write: containers of earlier builds have one of their own.
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
  // Who started it ends it.
  if (record.network === "foreign") return;
  const { process, cgroup } = record;
  const mounts = holdOwnMounts(record);
  try {
    if (process !== undefined && graceSeconds > 0) await askToEnd(record, process, graceSeconds);
    const strays = process === undefined ? chainOf(folder) : [process, ...membersOf(mounts)];
    if (cgroup !== undefined) killCgroup(`${cgroup}/run`);
    for (const stray of strays) sendSignal(stray, "SIGKILL");
    await until(() => !strays.some(isAlive) && pidsOf(cgroup, "run").length === 0, KILL_TIMEOUT);
  } finally {
    mounts?.release();
  }
  await untilLogged(folder);
  if (cgroup === undefined) return;
  await until(() => pidsOf(cgroup, "log").length === 0, PUMP_TIMEOUT);
  killCgroup(cgroup);
  await until(() => removeCgroup(cgroup), KILL_TIMEOUT);
}

/** TERM to whoever would notice it, and time to act on it. */
async function askToEnd({ start }: ContainerRecord, process: ProcessIdentity, graceSeconds: number): Promise<void> {
  const listens = start.shares.includes("pid") || catchesSignal(process.pid, "SIGTERM");
  if (listens && sendSignal(process, "SIGTERM")) await until(() => !isAlive(process), graceSeconds * 1000);
}

/**
 * Without a control group a container that shares the host's pids is known by its mounts alone. They are held, since
 * the number of a namespace that is gone is the next one's.
 */
function holdOwnMounts({ process, start, cgroup }: ContainerRecord): HeldNamespace | undefined {
  const needed = cgroup === undefined && start.shares.includes("pid") && !start.shares.includes("mount");
  return needed && process !== undefined && isAlive(process) ? holdMounts(process.pid) : undefined;
}

function membersOf(mounts: HeldNamespace | undefined): readonly ProcessIdentity[] {
  if (mounts === undefined) return [];
  return pids().flatMap((pid) => (namespaceOf(pid, "mnt") === mounts.inode ? (identify(pid) ?? []) : []));
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

function pidsOf(cgroup: string | undefined, part: "run" | "log"): readonly number[] {
  return cgroup === undefined ? [] : cgroupPids(`${cgroup}/${part}`);
}

/** Waits until `done`, but no longer than `ms`. */
async function until(done: () => boolean, ms: number): Promise<void> {
  const deadline = performance.now() + ms;
  for (let pause = 1; !done() && performance.now() < deadline; pause = Math.min(pause * 2, 20)) await Bun.sleep(pause);
}
