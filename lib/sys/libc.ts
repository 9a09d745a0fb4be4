/**
 * The C library by FFI, and its errno as our errors.
 *
 * @module
 */
import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";
import { constants } from "node:os";
import { type ErrorCode, TsnetError } from "../errors.ts";

/** `EINTR`, asm-generic/errno-base.h. */
export const EINTR = 4;
/** `EAGAIN`, asm-generic/errno-base.h. */
export const EAGAIN = 11;

// The build for Alpine opens musl, every other glibc; a run from source asks the loader for whichever is there.
const LIBC_NAMES =
  process.arch === "arm64" ? ["libc.so.6", "libc.musl-aarch64.so.1"] : ["libc.so.6", "libc.musl-x86_64.so.1"];

const SYMBOLS = {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  setsockopt: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  getsockopt: {
    args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.ptr],
    returns: FFIType.i32,
  },
  send: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
  recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
  open: { args: [FFIType.ptr, FFIType.i32, FFIType.u32], returns: FFIType.i32 },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
  read: { args: [FFIType.i32, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
  write: { args: [FFIType.i32, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
  fsync: { args: [FFIType.i32], returns: FFIType.i32 },
  link: { args: [FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
  rename: { args: [FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
  unlink: { args: [FFIType.ptr], returns: FFIType.i32 },
  mkdir: { args: [FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  utimensat: { args: [FFIType.i32, FFIType.ptr, FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
  // For what one of the two libcs has no function for: statx and getdents64.
  syscall: {
    args: [FFIType.i64, FFIType.i64, FFIType.ptr, FFIType.i64, FFIType.i64, FFIType.ptr],
    returns: FFIType.i64,
  },
  setns: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  __errno_location: { args: [], returns: FFIType.ptr },
} as const;

type Symbols = Parameters<typeof dlopen>[1];
type Functions<S extends Symbols> = ReturnType<typeof dlopen<S>>["symbols"];
type Libc = Functions<typeof SYMBOLS>;

/** The name of an errno number: `ENOENT` for 2. */
export function errnoName(number: number): string {
  const known = EXTRA_ERRNO.get(number);
  if (known !== undefined) return known;
  for (const name in constants.errno) if (Reflect.get(constants.errno, name) === number) return name;
  return `errno ${number}`;
}

/** The error class for an errno name, so that every door to the kernel judges alike. */
export function codeOfErrno(name: string): ErrorCode {
  switch (name) {
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
    case "ESRCH":
    case "EADDRNOTAVAIL":
      return "not-found";
    case "EEXIST":
      return "exists";
    case "EADDRINUSE":
      return "conflict";
    case "EPERM":
    case "EACCES":
      return "permission";
    case "EBUSY":
    case "EAGAIN":
      return "busy";
    case "EOPNOTSUPP":
    case "ENOTSUP":
    case "EAFNOSUPPORT":
    case "EPROTONOSUPPORT":
      return "kernel-lacks";
    case "EINVAL":
    case "ERANGE":
      return "invalid";
    default:
      return "io";
  }
}

// Names of linux/errno.h that os.constants leaves out or has under an alias, and that networking meets.
const EXTRA_ERRNO = new Map([
  [2, "ENOENT"],
  [11, "EAGAIN"],
  [19, "ENODEV"],
  [54, "EXFULL"],
  [92, "ENOPROTOOPT"],
  [95, "EOPNOTSUPP"],
  [524, "ENOTSUPP"],
]);

let opened: Libc | undefined;

/** The C library of the build's target, opened on first use. */
export function libc(): Libc {
  opened ??= openLibc(SYMBOLS);
  return opened;
}

/** Other functions of the C library, for a file that few callers load: each function costs at the opening. */
export function openLibc<const S extends Symbols>(symbols: S): Functions<S> {
  let last: unknown;
  for (const name of LIBC_NAMES) {
    try {
      return dlopen(name, symbols).symbols;
    } catch (error) {
      last = error;
    }
  }
  throw new TsnetError(`cannot open the C library (tried ${LIBC_NAMES.join(", ")})`, {
    code: "io",
    op: "dlopen",
    cause: last,
  });
}

/** Text as the C library takes it: UTF-8 with its NUL. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

/** Where `data` lies in memory, for structures that point to others. It must be kept until the call that uses it is over. */
export function addressOf(data: NodeJS.TypedArray): number {
  return ptr(data);
}

/** The errno of the last call that failed on this thread. */
export function errno(): number {
  return read.i32(libc().__errno_location() as Pointer, 0);
}

/** The result, or the errno as an error if it is negative. `op` begins the message: `open /etc/x`. */
export function check(op: string, result: number): number {
  if (result < 0) throw failure(op);
  return result;
}

/** The errno of the last call as an error. */
export function failure(op: string): TsnetError {
  const name = errnoName(errno());
  return new TsnetError(`${op}: ${name}`, { code: codeOfErrno(name), op, errno: name });
}
