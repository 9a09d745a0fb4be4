/**
 * Processes held by a descriptor: who holds one hears of the end, and from Linux 6.15 on learns the exit code
 * without being the parent.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { hasErrno } from "../errors.ts";
import { check, EINTR, errno, failure, libc, openLibc } from "./libc.ts";
import { closeFile } from "./posix.ts";
import { isAlive, type ProcessIdentity } from "./process.ts";

// asm-generic/unistd.h, the same on x86-64.
const SYS_PIDFD_OPEN = 434n;
// linux/pidfd.h: PIDFD_GET_INFO on struct pidfd_info as it was first, 64 bytes.
const PIDFD_GET_INFO = 0xc040ff0bn;
const INFO_BYTES = 64;
const EXIT_CODE_AT = 60;
const PIDFD_INFO_EXIT = 1n << 3n;
// poll.h
const POLLIN = 1;
const POLLFD_BYTES = 8;

const SYMBOLS = {
  ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  poll: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
} as const;

/** A process that is held. */
export interface HeldProcess {
  readonly process: ProcessIdentity;
  readonly fd: number;
  close(): void;
}

/** How a process ended. */
export type Ending =
  /** Its exit code, or 128 and the signal's number. */
  | { readonly kind: "ended"; readonly code: number }
  /** It has ended, and nobody has waited for it yet. */
  | { readonly kind: "unreaped" }
  /** The kernel tells only the parent. */
  | { readonly kind: "untold" };

/** Holds the process; undefined if it is gone. */
export function holdProcess(process: ProcessIdentity): HeldProcess | undefined {
  let fd: number;
  try {
    fd = check("pidfd_open", Number(libc().syscall(SYS_PIDFD_OPEN, BigInt(process.pid), null, 0n, 0n, null)));
  } catch (error) {
    if (hasErrno(error, "ESRCH", "EINVAL")) return undefined;
    throw error;
  }
  // Only now the pid cannot be given to another.
  if (isAlive(process)) return { process, fd, close: () => closeFile(fd) };
  closeFile(fd);
  return undefined;
}

/** Those of the processes that have ended. Does not wait. */
export function endedAmong<T extends Pick<HeldProcess, "fd">>(held: readonly T[]): readonly T[] {
  if (held.length === 0) return [];
  // struct pollfd: s32 fd, s16 events, s16 what happened.
  const table = Buffer.alloc(held.length * POLLFD_BYTES);
  for (const [at, { fd }] of held.entries()) {
    table.writeInt32LE(fd, at * POLLFD_BYTES);
    table.writeInt16LE(POLLIN, at * POLLFD_BYTES + 4);
  }
  const { poll } = functions();
  if (poll(table, BigInt(held.length), 0) < 0) {
    if (errno() === EINTR) return [];
    throw failure("poll");
  }
  return held.filter((_, at) => table.readInt16LE(at * POLLFD_BYTES + 6) !== 0);
}

/** How a process that has ended did so. */
export function endingOf({ fd }: Pick<HeldProcess, "fd">): Ending {
  const info = Buffer.alloc(INFO_BYTES);
  info.writeBigUInt64LE(PIDFD_INFO_EXIT);
  if (functions().ioctl(fd, PIDFD_GET_INFO, info) < 0) {
    // Once it is reaped a kernel that keeps no exit codes says ESRCH, one without the call ENOTTY.
    return { kind: "untold" };
  }
  if ((info.readBigUInt64LE() & PIDFD_INFO_EXIT) === 0n) return { kind: "unreaped" };
  const status = info.readInt32LE(EXIT_CODE_AT);
  const signal = status & 0x7f;
  return { kind: "ended", code: signal === 0 ? (status >> 8) & 0xff : 128 + signal };
}

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

function functions() {
  opened ??= openLibc(SYMBOLS);
  return opened;
}
