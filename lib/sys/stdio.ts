/**
 * Standard streams, synchronously: a plugin writes its one answer and leaves, and leaving by itself costs
 * milliseconds that a process per call cannot afford.
 *
 * @module
 */
import { hasErrno } from "../errors.ts";
import { readAll, writeAll } from "./posix.ts";

/** Writes all of `text` to standard output. A reader that went away (EPIPE) is no error. */
export function writeStdout(text: string): void {
  writeText(1, text);
}

/** Writes all of `text` to standard error. A reader that went away (EPIPE) is no error. */
export function writeStderr(text: string): void {
  writeText(2, text);
}

/** Everything on standard input as text; empty if it is closed. */
export function readStdin(): string {
  try {
    return readAll(0);
  } catch (error) {
    if (hasErrno(error, "EBADF")) return "";
    throw error;
  }
}

function writeText(fd: number, text: string): void {
  try {
    writeAll(fd, Buffer.from(text));
  } catch (error) {
    if (!hasErrno(error, "EPIPE", "EBADF")) throw error;
  }
}
