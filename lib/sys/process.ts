/**
 * Processes that we did not start, or started in another life: who they are, and telling them to end.
 *
 * A pid is reused and a zombie still has one. So a process is known by its pid, its start time and the boot, and
 * one that is dead but not yet waited for is gone.
 *
 * @module
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { constants } from "node:os";
import { hasErrno } from "../errors.ts";

/** One process, never mistaken for another that has its pid later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the boot to its start: field 22 of proc_pid_stat(5). */
  readonly startTime: number;
  readonly bootId: string;
}

let boot: string | undefined;

/** The identity of this boot. */
export function bootId(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return boot;
}

/** The process that has `pid` now; undefined if it is gone or a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined || stat.dead ? undefined : { pid, startTime: stat.startTime, bootId: bootId() };
}

/** Whether that very process still runs. */
export function isAlive({ pid, startTime, bootId: boot }: ProcessIdentity): boolean {
  const now = identify(pid);
  return now !== undefined && now.startTime === startTime && now.bootId === boot;
}

/** Sends a signal, such as `SIGTERM`; false if the process is gone. */
export function sendSignal(target: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch (error) {
    if (hasErrno(error, "ESRCH")) return false;
    throw error;
  }
}

/**
 * Whether the process would notice `signal` though it is the first of its pid namespace: it has a handler for it, or
 * holds it back to fetch it when it likes, as init programs do. SigCgt and SigBlk of proc_pid_status(5).
 */
export function catchesSignal(pid: number, signal: NodeJS.Signals): boolean {
  return inMask(pid, "SigCgt", signal) || inMask(pid, "SigBlk", signal);
}

/** Whether the process has said that it does not want `signal`: SigIgn of proc_pid_status(5). */
export function ignoresSignal(pid: number, signal: NodeJS.Signals): boolean {
  return inMask(pid, "SigIgn", signal);
}

function inMask(pid: number, name: "SigCgt" | "SigBlk" | "SigIgn", signal: NodeJS.Signals): boolean {
  const [, mask = "0"] = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(read(`/proc/${pid}/status`) ?? "") ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt((constants.signals[signal] ?? 1) - 1)) & 1n) === 1n;
}

/** Whether it is the process's group that the keys of its terminal are for: proc_pid_stat(5). */
export function isInForeground(pid: number): boolean {
  const fields = statFields(pid);
  return fields !== undefined && fields[2] === fields[5];
}

/** The children of a process that has one thread. */
export function childrenOf(pid: number): readonly number[] {
  return (read(`/proc/${pid}/task/${pid}/children`) ?? "").split(" ").filter(Boolean).map(Number);
}

/** Program and arguments, or none if the process is gone. */
export function commandLineOf(pid: number): readonly string[] {
  return (read(`/proc/${pid}/cmdline`) ?? "").split("\0").slice(0, -1);
}

/** What the kernel calls the process: the first 15 bytes of its program's name. */
export function nameOfProcess(pid: number): string {
  return read(`/proc/${pid}/comm`)?.trim() ?? "?";
}

/** The process that has the socket of this inode open. */
export function socketOwner(inode: string): number | undefined {
  return pids().find((pid) => descriptorsOf(pid).includes(`socket:[${inode}]`));
}

function descriptorsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readLink(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

/** The inode of one of a process's namespaces: equal for two processes that share it. */
export function namespaceOf(pid: number | "self", kind: "net" | "mnt" | "pid" | "uts" | "ipc"): number | undefined {
  const inode = /\[(\d+)\]/.exec(readLink(`/proc/${pid}/ns/${kind}`))?.[1];
  return inode === undefined ? undefined : Number(inode);
}

/** A namespace that is kept until released, so that its number is not given to another. */
export interface HeldNamespace {
  readonly inode: number;
  release(): void;
}

/** Keeps the process's mount namespace; undefined if the process is gone. */
export function holdMounts(pid: number): HeldNamespace | undefined {
  try {
    const fd = openSync(`/proc/${pid}/ns/mnt`, "r");
    return { inode: fstatSync(fd).ino, release: () => closeSync(fd) };
  } catch {
    return undefined;
  }
}

/** The path of the file that `path` is in the process's eyes, as device and inode. */
export function fileSeenBy(pid: number, path: string): string | undefined {
  try {
    const stat = statSync(`/proc/${pid}/root${path}`);
    return `${stat.dev}:${stat.ino}`;
  } catch {
    return undefined;
  }
}

/** All pids that we can see. */
export function pids(): readonly number[] {
  return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

function readStat(pid: number): { readonly dead: boolean; readonly startTime: number } | undefined {
  const fields = statFields(pid);
  return fields === undefined
    ? undefined
    : { dead: fields[0] === "Z" || fields[0] === "X", startTime: Number(fields[19]) };
}

/** The fields of proc_pid_stat(5) from the third on. */
function statFields(pid: number): readonly string[] | undefined {
  const text = read(`/proc/${pid}/stat`);
  // The second field is the name in parentheses, which may hold anything, also parentheses: count from the last one.
  return text?.slice(text.lastIndexOf(")") + 2).split(" ");
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

// A process may go away between any two looks, also within one: ESRCH.
function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}
