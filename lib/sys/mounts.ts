/**
 * Mounts by the kernel's own calls, where programs of util-linux would each cost a process; also in the mount namespace
 * of another process, in which the thread is for synchronous work alone.
 *
 * Everything here is mount(2) as every kernel has it, and named as mount(8) names it.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { hasErrno, TsnetError } from "../errors.ts";
import { elsewhere } from "./elsewhere.ts";
import { addressOf, check, cString, libc, openLibc } from "./libc.ts";
import { setns } from "./native.ts";
import { closeFile, O_RDONLY, openFile, statusOf } from "./posix.ts";
import { isAlive, type ProcessIdentity } from "./process.ts";

// linux/sched.h
const CLONE_FS = 0x00000200;
const CLONE_NEWNS = 0x00020000;
// linux/mount.h
const FLAGS = { ro: 0x1n, nosuid: 0x2n, nodev: 0x4n, noexec: 0x8n } as const;
const MS_REMOUNT = 0x20n;
const MS_NOSYMFOLLOW = 0x100n;
const MS_BIND = 0x1000n;
const MS_MOVE = 0x2000n;
const MS_REC = 0x4000n;
const MS_UNBINDABLE = 1n << 17n;
const MS_PRIVATE = 1n << 18n;
const MS_SHARED = 1n << 20n;
const MNT_DETACH = 2;
// asm-generic/fcntl.h
const O_PATH = 0o10000000;
// asm/unistd.h: no libc has a function for it.
const SYS_PIVOT_ROOT = process.arch === "arm64" ? 41n : 155n;
// struct statfs of asm-generic/statfs.h on 64 bits. The first four of its flags are those of mount(2).
const STATFS_BYTES = 120;
const F_FLAGS_AT = 80;
const ST_NOSYMFOLLOW = 0x2000n;

const SYMBOLS = {
  mount: { args: [FFIType.ptr, FFIType.ptr, FFIType.ptr, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  umount2: { args: [FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
  statfs: { args: [FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
  unshare: { args: [FFIType.i32], returns: FFIType.i32 },
  chdir: { args: [FFIType.ptr], returns: FFIType.i32 },
  fchdir: { args: [FFIType.i32], returns: FFIType.i32 },
  chroot: { args: [FFIType.ptr], returns: FFIType.i32 },
} as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

function calls() {
  opened ??= openLibc(SYMBOLS);
  return opened;
}

/** What a mount does not allow. */
export type MountFlag = keyof typeof FLAGS;

export interface NewMount {
  /** What lists of mounts name as its source. */
  readonly source: string;
  readonly target: string;
  readonly type: "proc" | "sysfs" | "tmpfs" | "devpts";
  readonly flags: readonly MountFlag[];
  /** Options of the file system's own, with commas between them. */
  readonly data?: string | undefined;
}

/**
 * `mount -t TYPE -o FLAGS,DATA SOURCE TARGET`. Read-only is the mount alone: the file system may be one that is there
 * already, as the /sys of a network namespace, and that others may write to.
 */
export function mountNew({ source, target, type, flags, data }: NewMount): void {
  const mask = maskOf(flags);
  mount({ source, target, type, flags: mask & ~FLAGS.ro, data });
  if ((mask & FLAGS.ro) !== 0n) mount({ target, flags: MS_REMOUNT | MS_BIND | mask });
}

export interface BindMount {
  readonly source: string;
  readonly target: string;
  /** Whether what is mounted below the source is bound as well, as it is there. */
  readonly recursive?: boolean;
  /** Beside those that the source has: it may take no freedom that was taken there. */
  readonly flags?: readonly MountFlag[];
}

/** `mount --bind -o FLAGS SOURCE TARGET`, or `--rbind`. A bind takes no flags: they are set on what is there then. */
export function mountBind({ source, target, recursive, flags = [] }: BindMount): void {
  mount({ source, target, flags: recursive === true ? MS_BIND | MS_REC : MS_BIND });
  if (flags.length > 0) mount({ target, flags: MS_REMOUNT | MS_BIND | flagsOf(target) | maskOf(flags) });
}

/** `mount --move SOURCE TARGET`, and nothing that is mounted on it is seen in another namespace. */
export function mountMove(source: string, target: string): void {
  mount({ source, target, flags: MS_MOVE });
  mount({ target, flags: MS_PRIVATE });
}

/** `mount --make-unbindable TARGET`: a recursive bind of what it is in leaves it out. */
export function makeUnbindable(target: string): void {
  mount({ target, flags: MS_UNBINDABLE });
}

/** `mount --make-rshared TARGET`. */
export function makeShared(target: string): void {
  mount({ target, flags: MS_SHARED | MS_REC });
}

/** `umount --lazy TARGET`; false if nothing is mounted there. */
export function unmount(target: string): boolean {
  try {
    check(`umount ${target}`, calls().umount2(cString(target), MNT_DETACH));
    return true;
  } catch (error) {
    if (hasErrno(error, "EINVAL", "ENOENT")) return false;
    throw error;
  }
}

/**
 * Makes the mount at `folder` the root of the mount namespace that the thread is in, and detaches the old one with
 * all that is in it. Processes whose root or working folder was the old root have the new one in its place.
 */
export function changeRoot(folder: string): void {
  check(`chdir ${folder}`, calls().chdir(cString(folder)));
  const here = cString(".");
  // The old root comes to lie upon the new one, and needs no place of its own there: pivot_root(2), Notes.
  check("pivot_root", Number(libc().syscall(SYS_PIVOT_ROOT, BigInt(addressOf(here)), here, 0n, 0n, null)));
  check("umount the old root", calls().umount2(here, MNT_DETACH));
}

let ownRoot: number | undefined;

/**
 * Where other processes find the root that we were started in, for as long as we live. Not /proc/PID/root: that leads
 * to where our thread is, which may be in the mounts of another process at that moment.
 */
export function pathToOwnRoot(): string {
  ownRoot ??= openFile("/", O_PATH);
  return `/proc/${process.pid}/fd/${ownRoot}`;
}

/**
 * Runs the synchronous `work` with the calling thread in the mount namespace of `target`, whose root is `/` then, and
 * comes back to where it was, root and working folder included. Aborts the process if that fails.
 *
 * @throws TsnetError `not-found` if the process is gone; `conflict` if its mounts are ours.
 */
export function insideMounts<T>(target: ProcessIdentity, work: () => T extends Promise<unknown> ? never : T): T {
  const fds: number[] = [];
  const open = (path: string, flags: number) => {
    const fd = openFile(path, flags);
    fds.push(fd);
    return fd;
  };
  try {
    const there = openMountsOf(target, open);
    const root = open("/", O_PATH);
    const cwd = openIfAllowed(".", open);
    return elsewhere({
      kind: "mnt",
      type: CLONE_NEWNS,
      from: `the mounts of process ${target.pid}`,
      go: () => step(there),
      work,
      back: (home) => {
        step(home);
        check("fchdir", calls().fchdir(root));
        check("chroot", calls().chroot(cString(".")));
        if (cwd !== undefined) check("fchdir", calls().fchdir(cwd));
      },
    });
  } finally {
    for (const fd of fds) closeFile(fd);
  }
}

/** A pid is reused, and what is done to its mounts must not be done to ours. */
function openMountsOf(target: ProcessIdentity, open: (path: string, flags: number) => number): number {
  const { pid } = target;
  const gone = (cause?: unknown) =>
    new TsnetError(`process ${pid} has ended`, { code: "not-found", op: "enter mounts", cause });
  let fd: number;
  try {
    fd = open(`/proc/${pid}/ns/mnt`, O_RDONLY);
  } catch (error) {
    throw hasErrno(error, "ENOENT", "ESRCH") ? gone(error) : error;
  }
  if (!isAlive(target)) throw gone();
  if (statusOf(fd).inode === statusOf("/proc/thread-self/ns/mnt").inode) {
    throw new TsnetError(`process ${pid} has our mounts, not its own`, { code: "conflict", op: "enter mounts" });
  }
  return fd;
}

/** Where root may not go, as in another user's FUSE folder, nothing that we do depends on the working folder. */
function openIfAllowed(path: string, open: (path: string, flags: number) => number): number | undefined {
  try {
    return open(path, O_PATH);
  } catch (error) {
    if (hasErrno(error, "EACCES", "EPERM", "ENOENT", "ESTALE", "ENOTCONN")) return undefined;
    throw error;
  }
}

/**
 * Takes the thread into a mount namespace. The kernel lets none go that shares root, working folder and umask with
 * another: setns(2). At first all threads do, and one that the runtime starts meanwhile would, too.
 */
function step(namespace: number): void {
  check("unshare", calls().unshare(CLONE_FS));
  setns(namespace, CLONE_NEWNS);
}

interface MountCall {
  readonly source?: string;
  readonly target: string;
  readonly type?: string;
  readonly flags: bigint;
  readonly data?: string | undefined;
}

function mount({ source, target, type, flags, data }: MountCall): void {
  const orNone = (text: string | undefined) => (text === undefined ? null : cString(text));
  const result = calls().mount(orNone(source), cString(target), orNone(type), flags, orNone(data));
  check(`mount ${target}`, result);
}

function maskOf(flags: readonly MountFlag[]): bigint {
  return flags.reduce((mask, flag) => mask | FLAGS[flag], 0n);
}

/** What the mount at `target` does not allow, as flags of mount(2). A file system that is read-only makes it so, too. */
function flagsOf(target: string): bigint {
  const status = Buffer.alloc(STATFS_BYTES);
  check(`statfs ${target}`, calls().statfs(cString(target), status));
  const flags = status.readBigUInt64LE(F_FLAGS_AT);
  const known = FLAGS.ro | FLAGS.nosuid | FLAGS.nodev | FLAGS.noexec;
  return (flags & known) | ((flags & ST_NOSYMFOLLOW) === 0n ? 0n : MS_NOSYMFOLLOW);
}
