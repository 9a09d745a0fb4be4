/**
 * The limits of processes.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { check, openLibc } from "./libc.ts";

// asm-generic/resource.h
const RLIMIT_NOFILE = 7;
/** The soft limit that a system starts programs with. */
const USUAL_FILES = 1024n;

const SYMBOLS = {
  prlimit: { args: [FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
} as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

/**
 * Gives a process, and what it starts from now on, the usual soft limit of open files. The runtime that
 * we are raised it to the hard limit, which some programs close one by one.
 */
export function useUsualFiles(pid: number): void {
  opened ??= openLibc(SYMBOLS);
  // struct rlimit64: u64 soft, u64 hard.
  const limit = new BigUint64Array(2);
  check(`prlimit of process ${pid}`, opened.prlimit(pid, RLIMIT_NOFILE, null, limit));
  const [, hard = USUAL_FILES] = limit;
  limit[0] = hard < USUAL_FILES ? hard : USUAL_FILES;
  check(`prlimit of process ${pid}`, opened.prlimit(pid, RLIMIT_NOFILE, limit, null));
}
