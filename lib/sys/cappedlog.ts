/**
 * A log that never takes more room than it may: what is written goes to FILE, and when that has half of the room it
 * becomes FILE.1, in place of the one before. So at least the last half of the room is always there.
 *
 * A file alone cannot do this: whoever could cut it is not there while a container floods it. So a small process
 * of its own copies, and ends with the last writer.
 *
 * @module
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, statSync, writeSync } from "node:fs";
import { hasErrno } from "../errors.ts";
import { joinCgroup } from "./cgroup.ts";

/** Bytes that both files take together at most. */
export const LOG_ROOM = 10_000_000;

/** Copies standard input to the log at `path`, mode 0600, until the input ends. Does so in the control group `group`. */
export function pumpLog(path: string, group?: string): void {
  if (group !== undefined) joinCgroup(group, 0);
  const buffer = Buffer.alloc(65536);
  let fd = openLog(path);
  let size = fstatSync(fd).size;
  for (;;) {
    const length = readInput(buffer);
    if (length === 0) break;
    if (size + length > LOG_ROOM / 2) {
      closeSync(fd);
      renameSync(path, `${path}.1`);
      fd = openLog(path);
      size = 0;
    }
    size += writeAll(fd, buffer.subarray(0, length));
  }
  closeSync(fd);
}

/** All that the log holds. */
export function readLog(path: string): Buffer {
  // Newer first: should it be renamed in between, its end is seen twice rather than never.
  const newer = read(path);
  return Buffer.concat([read(`${path}.1`), newer]);
}

/** Calls `write` with what comes to the log from now on, until `goOn` says no and all has been read. */
export async function followLog(path: string, write: (data: Buffer) => void, goOn: () => boolean): Promise<void> {
  let [inode, offset] = [inodeOf(path), sizeOf(path)];
  for (;;) {
    const last = !goOn();
    if (inodeOf(path) !== inode) {
      write(read(`${path}.1`, offset));
      [inode, offset] = [inodeOf(path), 0];
    }
    const more = read(path, offset);
    offset += more.length;
    if (more.length > 0) write(more);
    if (last) return;
    await Bun.sleep(100);
  }
}

function openLog(path: string): number {
  return openSync(path, "a", 0o600);
}

function readInput(buffer: Buffer): number {
  try {
    return readSync(0, buffer, 0, buffer.length, null);
  } catch (error) {
    if (hasErrno(error, "EOF")) return 0;
    if (hasErrno(error, "EINTR")) return readInput(buffer);
    throw error;
  }
}

// A full disk must not stop the container: what does not fit is lost.
function writeAll(fd: number, data: Buffer): number {
  try {
    return writeSync(fd, data);
  } catch (error) {
    if (hasErrno(error, "ENOSPC", "EDQUOT", "EIO")) return 0;
    throw error;
  }
}

/** The file from `offset` on; nothing if it is not there. */
function read(path: string, offset = 0): Buffer {
  try {
    const fd = openSync(path, "r");
    try {
      const data = Buffer.alloc(Math.max(0, fstatSync(fd).size - offset));
      return data.subarray(0, readSync(fd, data, 0, data.length, offset));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return Buffer.alloc(0);
    throw error;
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
