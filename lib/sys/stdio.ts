/**
 * Standard streams, synchronously: a plugin writes its one answer and leaves, and leaving by itself costs
 * milliseconds that a process per call cannot afford.
 *
 * @module
 */
import { fstatSync, readFileSync, writeSync } from "node:fs";
import { hasErrno } from "../errors.ts";

/** Writes all of `text` to standard output. A reader that went away (EPIPE) is no error. */
export function writeStdout(text: string): void {
  writeAll(1, text);
}

/** Writes all of `text` to standard error. A reader that went away (EPIPE) is no error. */
export function writeStderr(text: string): void {
  writeAll(2, text);
}

/** Everything on standard input as text; empty if it is closed. */
export function readStdin(): string {
  try {
    fstatSync(0);
  } catch {
    return "";
  }
  try {
    return readFileSync(0, "utf8");
  } catch (error) {
    if (hasErrno(error, "EBADF", "EOF")) return "";
    throw error;
  }
}

function writeAll(fd: number, text: string): void {
  let rest: Uint8Array = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (hasErrno(error, "EAGAIN", "EINTR")) continue;
      if (hasErrno(error, "EPIPE", "EBADF")) return;
      throw error;
    }
  }
}
