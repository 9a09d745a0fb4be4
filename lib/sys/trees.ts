/**
 * Symbolic links and whole trees, for commands; a plugin call needs neither.
 *
 * @module
 */
import { readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { hasErrno, messageOf, TsnetError } from "../errors.ts";
import { removeFile } from "./files.ts";

/** Makes `path` a symbolic link to `target`, in place of another link that is there, at once. */
export function ensureSymlink(target: string, path: string): void {
  const temporary = `${dirname(path)}/.${process.pid}-${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    if (readLinkIfThere(path) === target) return;
    symlinkSync(target, temporary);
    renameSync(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw new TsnetError(`cannot link ${path}: ${messageOf(error)}`, { code: "io", op: "link", cause: error });
  }
}

/** Removes a file or a directory with all that is in it; an absent one is fine. */
export function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

function readLinkIfThere(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "EINVAL")) return undefined;
    throw error;
  }
}
