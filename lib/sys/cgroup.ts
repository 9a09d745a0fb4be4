/**
 * Control groups, as a list of processes and a way to end them all: what a terminal or a unit that ends does not
 * take with it, and what even a daemon that left its session does not get out of. No limits are set.
 *
 * Only version 2 is used, also where it stands beside version 1. Without it everything here does nothing and says
 * so: the caller has another way.
 *
 * @module
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { writeFile as writeAside } from "node:fs/promises";
import { dirname } from "node:path";
import { hasErrno } from "../errors.ts";

/** The folder of the group `name` (`tsnet/web`), whether it is there or not; undefined without cgroup v2. */
export function cgroupPath(name: string): string | undefined {
  const mount = /^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/self/mounts", "utf8"))?.[1];
  return mount === undefined ? undefined : `${mount}/${name}`;
}

/** Makes the group; false if we may not. */
export function makeCgroup(path: string): boolean {
  try {
    mkdirSync(path, { recursive: true });
    return true;
  } catch (error) {
    if (hasErrno(error, "EACCES", "EPERM", "EROFS", "ENOENT")) return false;
    throw error;
  }
}

/** Moves a process, 0 for our own, into the group; false if that is not possible. Its later children are in it, too. */
export function joinCgroup(path: string, pid: number): boolean {
  return write(`${path}/cgroup.procs`, String(pid));
}

/** As {@link joinCgroup}, which takes up to ten milliseconds if nobody joined one just before, while we go on. */
export async function joinCgroupBeside(path: string, pid: number): Promise<boolean> {
  try {
    await writeAside(`${path}/cgroup.procs`, String(pid));
    return true;
  } catch {
    return false;
  }
}

/** The processes of the group, or none if it is not there. */
export function cgroupPids(path: string): readonly number[] {
  try {
    return readFileSync(`${path}/cgroup.procs`, "utf8").split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Kills every process of the group and of those below, at once; false where the kernel (before 5.14) cannot. */
export function killCgroup(path: string): boolean {
  return write(`${path}/cgroup.kill`, "1");
}

/**
 * Removes the group with those below it, and its parent if that is empty now; true if it is gone. It has to be
 * empty, and stays for a moment after its last process.
 */
export function removeCgroup(path: string): boolean {
  for (const entry of directoriesIn(path)) removeCgroup(`${path}/${entry}`);
  if (!remove(path)) return false;
  remove(dirname(path));
  return true;
}

/** The names of the groups in a group; none if it is not there. */
export function cgroupNames(path: string): readonly string[] {
  return directoriesIn(path);
}

function directoriesIn(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

function remove(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return hasErrno(error, "ENOENT");
  }
}

function write(path: string, text: string): boolean {
  try {
    writeFileSync(path, text);
    return true;
  } catch {
    return false;
  }
}
