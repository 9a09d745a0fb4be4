/**
 * Putting an executable under several names while it may be running: one copy, hard links, and a rename over
 * whatever is there. A process that runs the old file keeps it; one that starts finds the old or the new, whole.
 *
 * @module
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmdirSync,
} from "node:fs";
import { hasErrno, messageOf, TsnetError } from "../errors.ts";
import { removeFile } from "./files.ts";

/** What tells a file from any other that may stand at its path later, symbolic links not followed. */
export interface FileIdentity {
  readonly inode: number;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number;
}

/**
 * The path of the compiled executable that we are, or undefined when run from source. Where it was replaced by another
 * version since we began, it is that one's.
 */
export function ownExecutable(): string | undefined {
  // A compiled executable's code lies in a file system of its own.
  if (!Bun.main.startsWith("/$bunfs/")) return undefined;
  const { execPath } = process;
  // proc_pid_exe(5)
  return execPath.endsWith(DELETED) && !existsSync(execPath) ? execPath.slice(0, -DELETED.length) : execPath;
}

const DELETED = " (deleted)";

/** The file at `path`, or undefined if there is none. */
export function identityOf(path: string): FileIdentity | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : { inode: stat.ino, bytes: stat.size, modifiedMs: stat.mtimeMs };
}

export function sameIdentity(one: FileIdentity, other: FileIdentity): boolean {
  return one.inode === other.inode && one.bytes === other.bytes && one.modifiedMs === other.modifiedMs;
}

/** Whether two files hold the same bytes. */
export function sameContent(one: string, other: string): boolean {
  if (lstatSync(one).size !== lstatSync(other).size) return false;
  const files = [openSync(one, "r"), openSync(other, "r")] as const;
  try {
    const [left, right] = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)];
    for (;;) {
      const length = readSync(files[0], left, 0, left.length, null);
      if (readSync(files[1], right, 0, right.length, null) !== length) return false;
      if (length === 0) return true;
      if (!left.subarray(0, length).equals(right.subarray(0, length))) return false;
    }
  } finally {
    for (const fd of files) closeSync(fd);
  }
}

/** Copies an executable to the new file `target`, mode 0755, and waits until it is on the disk. */
export function copyExecutable(source: string, target: string): void {
  attempt("copy to", target, () => {
    removeFile(target);
    copyFileSync(source, target);
    chmodSync(target, 0o755);
    const fd = openSync(target, "r");
    fsyncSync(fd);
    closeSync(fd);
  });
}

/** Makes `path` one more name of the file `existing`, in place of what was there, at once. */
export function linkOver(existing: string, path: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  attempt("link", path, () => {
    removeFile(temporary);
    linkSync(existing, temporary);
    renameSync(temporary, path);
    // Renaming one name of a file over another does nothing at all.
    removeFile(temporary);
  });
}

/** Renames `from` over `to`, at once. */
export function moveOver(from: string, to: string): void {
  attempt("put back", to, () => renameSync(from, to));
}

/** Removes a directory if it is empty; true if it is gone now. */
export function removeIfEmpty(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return true;
    if (hasErrno(error, "ENOTEMPTY", "EEXIST", "EBUSY")) return false;
    throw failure("remove", directory, error);
  }
}

function attempt(op: string, path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw failure(op, path, error);
  }
}

function failure(op: string, path: string, cause: unknown): TsnetError {
  const errno = cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
  return new TsnetError(`cannot ${op} ${path}: ${messageOf(cause)}`, {
    code: "io",
    op,
    cause,
    ...(errno === undefined ? {} : { errno }),
  });
}
