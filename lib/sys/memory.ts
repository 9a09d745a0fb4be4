/**
 * What this process holds in memory, and giving back what it does not use.
 *
 * @module
 */

import { FFIType } from "bun:ffi";
import { readFileSync, readlinkSync } from "node:fs";
import { openLibc } from "./libc.ts";

// asm-generic/mman-common.h
const MADV_DONTNEED = 4;

const SYMBOLS = { madvise: { args: [FFIType.u64, FFIType.u64, FFIType.i32], returns: FFIType.i32 } } as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

/** Resident memory in bytes: VmRSS of proc_pid_status(5). */
export function residentBytes(): number {
  return process.memoryUsage.rss();
}

/** Collects garbage now, and returns free pages to the system. Takes some ms, and tens of ms with 100 MB in use. */
export function collectGarbage(): void {
  Bun.gc(true);
}

/**
 * Lets go of the pages of the program's own code, a good half of what a process that has started holds: those that it
 * goes on using come back by themselves out of the file, and most do not. Nothing ever writes there, so nothing is lost.
 */
export function releaseCode(): void {
  const program = readlinkSync("/proc/self/exe");
  opened ??= openLibc(SYMBOLS);
  // proc_pid_maps(5): from-to, rights, offset, device, inode, path.
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
    const [, from, to, path] = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+ +(.*)$/.exec(line) ?? [];
    if (from === undefined || to === undefined || path !== program) continue;
    const start = BigInt(`0x${from}`);
    opened.madvise(start, BigInt(`0x${to}`) - start, MADV_DONTNEED);
  }
}
