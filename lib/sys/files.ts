/**
 * Files: atomic writes, exclusive creation, locks, sysctls. Synchronous throughout: the files are small, and a
 * plugin has nothing else to do meanwhile.
 *
 * @module
 */
import { hasErrno, isTsnetError, messageOf, TsnetError } from "../errors.ts";
import { isElsewhere } from "./elsewhere.ts";
import { flock, LOCK_EX, LOCK_NB, LOCK_SH } from "./native.ts";
import { inside, type Netns } from "./netns.ts";
import {
  closeFile,
  filesHolding,
  linkFile,
  listDirectory,
  makeOneDirectory,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  openBelow,
  openFile,
  readAll,
  readFile,
  renameFile,
  type Status,
  setTimes,
  statusOf,
  syncFile,
  unlinkFile,
  writeAll,
  writeFile,
} from "./posix.ts";

/** The file as text, or undefined if it is not there. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFile(path);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw ioError("read", path, error);
  }
}

/** The names in a directory, sorted; none if it is not there. */
export function namesIn(directory: string): readonly string[] {
  return unsortedNamesIn(directory).toSorted();
}

/** The names in a directory as the file system has them: sorting thousands takes longer than reading them. */
export function unsortedNamesIn(directory: string): readonly string[] {
  try {
    return listDirectory(directory);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw ioError("list", directory, error);
  }
}

/** Of the files `names` in a directory, those that hold `text`, and those that have to be read to know it; none if it is not there. */
export function namesHolding(directory: string, names: readonly string[], text: string): readonly string[] {
  try {
    return filesHolding(directory, names, text);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw ioError("read", directory, error);
  }
}

export function exists(path: string): boolean {
  return tryStatus(path) !== undefined;
}

/** Milliseconds since the epoch of the last write, or undefined if the file is not there. */
export function modifiedAt(path: string): number | undefined {
  return tryStatus(path)?.modifiedMs;
}

/** Sets the time of the last write, in milliseconds since the epoch, exact to the microsecond. */
export function setModifiedAt(path: string, ms: number): void {
  try {
    setTimes(path, ms);
  } catch (error) {
    throw ioError("set the time of", path, error);
  }
}

/** Whether there is a file at `path`, also through a link. */
export function isFile(path: string): boolean {
  return tryStatus(path)?.isFile === true;
}

/** Whether both paths lead to one file, by links of either kind. */
export function sameFile(a: string, b: string): boolean {
  const one = tryStatus(a);
  const other = tryStatus(b);
  return one !== undefined && other !== undefined && one.device === other.device && one.inode === other.inode;
}

/** Makes a directory and its parents (mode 0755 unless given). */
export function makeDirectory(path: string, mode = 0o755): void {
  try {
    makeOneDirectory(path, mode);
  } catch (error) {
    if (hasErrno(error, "EEXIST")) return;
    if (!hasErrno(error, "ENOENT") || !path.includes("/", 1)) throw ioError("make directory", path, error);
    makeDirectory(directoryOf(path), mode);
    makeIn(path, mode);
  }
}

/** The parent is there. Some file systems, /proc among them, say ENOENT all the same. */
function makeIn(path: string, mode: number): void {
  try {
    makeOneDirectory(path, mode);
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw ioError("make directory", path, error);
  }
}

/** Puts `text` at `path` whole or not at all: temporary file, fsync, rename. The directory must be there. */
export function replaceFile(path: string, text: string | Uint8Array, mode = 0o644): void {
  const temporary = writeTemporary(path, text, mode);
  try {
    renameFile(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw ioError("replace", path, error);
  }
}

/** Makes a new file, whole or not at all: temporary file, fsync, link. False if `path` is taken. */
export function createFile(path: string, text: string | Uint8Array, mode = 0o600): boolean {
  const temporary = writeTemporary(path, text, mode);
  try {
    linkFile(temporary, path);
    return true;
  } catch (error) {
    if (hasErrno(error, "EEXIST")) return false;
    throw ioError("create", path, error);
  } finally {
    removeFile(temporary);
  }
}

/** Whether a name is that of a temporary file of {@link replaceFile} or {@link createFile}: one that is left is from a crash. */
export function isTemporary(name: string): boolean {
  return /^\.\d+-[0-9a-f]{8}\.tmp$/.test(name);
}

/** Writes `text` over what `path` holds, in place: a crash may leave it empty, which its reader has to put up with. */
export function overwriteFile(path: string, text: string, mode = 0o644): void {
  try {
    writeFile(path, text, O_WRONLY | O_CREAT | O_TRUNC, mode);
  } catch (error) {
    throw ioError("write", path, error);
  }
}

/** Removes a file; true if it was there. */
export function removeFile(path: string): boolean {
  try {
    unlinkFile(path);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw ioError("remove", path, error);
  }
}

/** A lock that ends with {@link FileLock.release} or with the last process that inherited `fd`. */
export interface FileLock {
  readonly fd: number;
  release(): void;
}

/**
 * Takes the flock on `path`, making the file if needed, and waits for it as long as it takes; with
 * `timeoutMs`, no longer than that. `shared` holders exclude the others only.
 *
 * @throws TsnetError `busy` after `timeoutMs`.
 */
export function lockFile(path: string, timeoutMs?: number, shared = false): FileLock {
  const kind = shared ? LOCK_SH : LOCK_EX;
  let fd: number;
  try {
    fd = openFile(path, O_WRONLY | O_CREAT | O_APPEND, 0o600);
  } catch (error) {
    throw ioError("lock", path, error);
  }
  try {
    if (timeoutMs === undefined) flock(fd, kind);
    else waitForLock(fd, path, kind, timeoutMs);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
  return { fd, release: () => closeFile(fd) };
}

/** Reads `/proc/sys/<key>` (`net/ipv4/ip_forward`) of our own namespace; undefined if there is no such key. */
export function readSysctl(key: string): string | undefined {
  try {
    return useSysctl(key, O_RDONLY, readAll).trim();
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw ioError("read", `/proc/sys/${key}`, error);
  }
}

/**
 * Writes `/proc/sys/<key>` of our own namespace.
 *
 * @throws TsnetError `kernel-lacks` if there is no such key.
 */
export function writeSysctl(key: string, value: string): void {
  if (writeSysctlIfThere(key, value)) return;
  const name = key.replaceAll("/", ".");
  throw new TsnetError(`the kernel has no sysctl ${name}`, {
    code: "kernel-lacks",
    op: "write sysctl",
    errno: "ENOENT",
  });
}

/**
 * Writes sysctls inside `netns` (ours if undefined), in one visit. A key that the kernel does not have, such as
 * those of IPv6 where that is off, is left out. `refused` is told of what cannot be written, and may throw.
 */
export function writeSysctls(
  netns: Netns | undefined,
  entries: readonly (readonly [key: string, value: string])[],
  refused: (key: string, error: unknown) => void = rethrow,
): void {
  const write = () => {
    for (const [key, value] of entries) {
      try {
        writeSysctlIfThere(key, value);
      } catch (error) {
        refused(key, error);
      }
    }
  };
  if (netns === undefined) write();
  else inside(netns, write);
}

function rethrow(_key: string, error: unknown): void {
  throw error;
}

/** False if there is no such key. On a read-only /proc/sys a value that is there already is fine. */
function writeSysctlIfThere(key: string, value: string): boolean {
  try {
    useSysctl(key, O_RDWR, (fd) => writeAll(fd, Buffer.from(value)));
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return false;
    if (hasErrno(error, "EROFS", "EACCES") && readSysctl(key) === value) return true;
    throw ioError("write", `/proc/sys/${key}`, error);
  }
}

function useSysctl<T>(key: string, flags: number, use: (fd: number) => T): T {
  const fd = openSysctl(key, flags);
  try {
    return use(fd);
  } finally {
    closeFile(fd);
  }
}

/**
 * The folders of IPv4 and IPv6 stay open, which are there for as long as the kernel is: it has one of each for every
 * network namespace, all of one name, and goes through them for each path, a millisecond beside a thousand containers.
 */
function openSysctl(key: string, flags: number): number {
  const [, folder = "", rest = ""] = /^(net\/ipv[46])\/(.+)$/.exec(key) ?? [];
  if (folder === "" || isElsewhere()) return openFile(`/proc/sys/${key}`, flags);
  const open = sysctlFolders.get(folder) ?? openFile(`/proc/sys/${folder}`, O_RDONLY);
  sysctlFolders.set(folder, open);
  return openBelow(open, rest, flags);
}

const sysctlFolders = new Map<string, number>();

function tryStatus(path: string): Status | undefined {
  try {
    return statusOf(path);
  } catch {
    return undefined;
  }
}

function directoryOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}

function writeTemporary(path: string, text: string | Uint8Array, mode: number): string {
  const temporary = `${directoryOf(path)}/.${process.pid}-${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    const fd = openFile(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    try {
      writeAll(fd, typeof text === "string" ? Buffer.from(text) : text);
      syncFile(fd);
    } finally {
      closeFile(fd);
    }
  } catch (error) {
    removeFile(temporary);
    throw ioError("write", path, error);
  }
  return temporary;
}

function waitForLock(fd: number, path: string, kind: number, timeoutMs: number): void {
  const deadline = performance.now() + timeoutMs;
  while (!flock(fd, kind | LOCK_NB)) {
    if (performance.now() > deadline) {
      throw new TsnetError(`${path} is locked by another process (waited ${timeoutMs} ms): try again`, {
        code: "busy",
        op: "lock",
      });
    }
    Bun.sleepSync(5);
  }
}

/** What an administrator makes of an errno's name. */
const WORDS: Readonly<Record<string, string | undefined>> = {
  EROFS: ", it is on a file system that is mounted read-only: mount it for writing",
  ENOSPC: ", the file system is full: make room there",
  EDQUOT: ", the quota there is used up: make room",
};

function ioError(op: string, path: string, cause: unknown): TsnetError {
  const errno = isTsnetError(cause) ? cause.errno : undefined;
  const words = errno === undefined ? undefined : WORDS[errno];
  return new TsnetError(`cannot ${op} ${path}: ${errno ?? messageOf(cause)}${words ?? ""}`, {
    code: "io",
    op,
    cause,
    ...(errno === undefined ? {} : { errno }),
  });
}
