/**
 * A named pipe that carries what programs write from now to whoever reads it then.
 *
 * Its content lives for as long as anybody has it open. The programs get it open for reading as well as writing:
 * so a reader that goes away is no SIGPIPE for them, and the next one finds what stands in it.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { hasErrno } from "../errors.ts";
import { check, openLibc } from "./libc.ts";
import { closeFile, O_RDONLY, O_RDWR, openFile } from "./posix.ts";

// asm-generic/fcntl.h
const O_NONBLOCK = 0o4000;
// asm-generic/ioctls.h
const FIONREAD = 0x541bn;

const SYMBOLS = { ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 } } as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

/** Opens it as a program's standard output. */
export function openForWriters(path: string): number {
  return openFile(path, O_RDWR);
}

/** Opens it for one who reads and does not wait; undefined if it is not there. */
export function openForReader(path: string): number | undefined {
  try {
    return openFile(path, O_RDONLY | O_NONBLOCK);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Bytes that stand in it and that nobody has read; none if it is not there. */
export function unreadBytes(path: string): number {
  const fd = openForReader(path);
  if (fd === undefined) return 0;
  try {
    opened ??= openLibc(SYMBOLS);
    const bytes = new Int32Array(1);
    check(`FIONREAD ${path}`, opened.ioctl(fd, FIONREAD, bytes));
    return bytes[0] ?? 0;
  } finally {
    closeFile(fd);
  }
}
