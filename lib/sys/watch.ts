/**
 * Tells when something in a directory changes.
 *
 * inotify by way of node:fs. It may lose events and tells nothing of a directory that was away when it began, so who
 * relies on it looks for himself from time to time ({@link stampOf}).
 *
 * @module
 */
import { type FSWatcher, watch } from "node:fs";
import { hasErrno, messageOf, TsnetError } from "../errors.ts";
import { type Status, statusOf } from "./posix.ts";

export interface DirectoryWatch {
  close(): void;
}

/**
 * Calls `changed` with the name of an entry that was written, made, renamed or removed, or undefined where the name
 * is not known, and `ended` once if there is nothing to watch any more.
 *
 * @throws TsnetError `not-found` if the directory is not there, `io`.
 */
export function watchDirectory(
  path: string,
  changed: (name: string | undefined) => void,
  ended: (error: Error) => void,
): DirectoryWatch {
  const watcher = opened(path, (name) => changed(name ?? undefined));
  watcher.on("error", (error) => {
    watcher.close();
    ended(error instanceof Error ? error : new Error(messageOf(error)));
  });
  return { close: () => watcher.close() };
}

/** What changes whenever the file is replaced or written, links followed. Undefined if there is no regular file. */
export function stampOf(path: string): string | undefined {
  const status = tryStatus(path);
  return status?.isFile ? `${status.device} ${status.inode} ${status.modifiedMs}` : undefined;
}

/** Which directory it is, so that another one of the same name is told from it. Undefined if there is nothing. */
export function identityOf(path: string): string | undefined {
  const status = tryStatus(path);
  return status && `${status.device} ${status.inode}`;
}

/** Undefined also for what we may not look at: whoever reads it is told why. */
function tryStatus(path: string): Status | undefined {
  try {
    return statusOf(path);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP")) return undefined;
    throw error;
  }
}

function opened(path: string, listener: (name: string | null) => void): FSWatcher {
  try {
    return watch(path, { persistent: true }, (_, name) => listener(name));
  } catch (cause) {
    const code = hasErrno(cause, "ENOENT", "ENOTDIR") ? "not-found" : "io";
    throw new TsnetError(`cannot watch directory ${path}: ${messageOf(cause)}`, { code, op: "watch", cause });
  }
}
