/**
 * The calls that node:fs does not have, by FFI into the libc of the build's target.
 *
 * Everything here is synchronous and takes or returns plain file descriptors. A failing call throws a
 * {@link TsnetError} that carries the errno name.
 *
 * @module
 */
import { dlopen, FFIType, type Pointer, read } from "bun:ffi";
import { constants } from "node:os";
import { type ErrorCode, TsnetError } from "../errors.ts";

/** `AF_NETLINK`, linux/socket.h. */
export const AF_NETLINK = 16;
/** `NETLINK_ROUTE`, linux/netlink.h. */
export const NETLINK_ROUTE = 0;
/** `NETLINK_NETFILTER`, linux/netlink.h. */
export const NETLINK_NETFILTER = 12;
/** `CLONE_NEWNET`, linux/sched.h. */
export const CLONE_NEWNET = 0x40000000;
/** `LOCK_SH`, sys/file.h. */
export const LOCK_SH = 1;
/** `LOCK_EX`, sys/file.h. */
export const LOCK_EX = 2;
/** `LOCK_NB`, sys/file.h. */
export const LOCK_NB = 4;

const SOCK_RAW = 3;
const O_CLOEXEC = 0o2000000;
const SOCK_CLOEXEC = 0o2000000;

// The build for Alpine opens musl, every other glibc; a run from source asks the loader for whichever is there.
const LIBC_NAMES =
  process.arch === "arm64" ? ["libc.so.6", "libc.musl-aarch64.so.1"] : ["libc.so.6", "libc.musl-x86_64.so.1"];

const SYMBOLS = {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  setsockopt: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  send: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
  recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
  setns: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  pipe2: { args: [FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
  flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  __errno_location: { args: [], returns: FFIType.ptr },
} as const;

type Libc = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

/** Opens a netlink socket in the namespace that the thread is in. `protocol` is `NETLINK_ROUTE` and the like. */
export function openNetlink(protocol: number): number {
  return check("socket", libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
}

/** Binds a netlink socket to multicast `groups` (a bit mask; 0 for none). */
export function bindNetlink(fd: number, groups: number): void {
  // struct sockaddr_nl: u16 family, u16 pad, u32 pid (0: the kernel chooses), u32 groups. linux/netlink.h
  const address = new Uint32Array([AF_NETLINK, 0, groups]);
  check("bind", libc().bind(fd, address, address.byteLength));
}

/** Sets an integer socket option. */
export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  const option = new Int32Array([value]);
  check("setsockopt", libc().setsockopt(fd, level, name, option, option.byteLength));
}

/** Sends `data` as one datagram. For netlink the kernel has done the work when this returns. */
export function send(fd: number, data: Uint8Array): void {
  for (;;) {
    const sent = Number(libc().send(fd, data, data.byteLength, 0));
    if (sent >= 0) return;
    if (errno() !== constants.errno.EINTR) throw failure("send");
  }
}

/** Receives one datagram into `buffer` and returns its length in bytes. `flags` as in recv(2). */
export function receive(fd: number, buffer: Uint8Array, flags = 0): number {
  for (;;) {
    const got = Number(libc().recv(fd, buffer, buffer.byteLength, flags));
    if (got >= 0) return got;
    if (errno() !== constants.errno.EINTR) throw failure("recv");
  }
}

/** Closes a descriptor opened here. A second close is an error, as it may hit somebody else's descriptor. */
export function closeFd(fd: number): void {
  check("close", libc().close(fd));
}

/** Makes a pipe. Both ends are closed on exec; a program is given one as one of its standard streams. */
export function openPipe(): { readonly read: number; readonly write: number } {
  const ends = new Int32Array(2);
  check("pipe", libc().pipe2(ends, O_CLOEXEC));
  return { read: ends[0] ?? -1, write: ends[1] ?? -1 };
}

/** Moves the calling thread into the namespace behind `fd`. See netns.ts for who may call this. */
export function setns(fd: number, type: number): void {
  check("setns", libc().setns(fd, type));
}

/** Takes a flock; false if `LOCK_NB` was given and somebody else has it. The lock ends when every copy of `fd` is closed. */
export function flock(fd: number, operation: number): boolean {
  for (;;) {
    if (libc().flock(fd, operation) === 0) return true;
    const number = errno();
    if (number === constants.errno.EWOULDBLOCK) return false;
    if (number !== constants.errno.EINTR) throw failure("flock");
  }
}

/** The name of an errno number: `ENOENT` for 2. */
export function errnoName(number: number): string {
  const known = EXTRA_ERRNO.get(number);
  if (known !== undefined) return known;
  for (const [name, value] of Object.entries(constants.errno)) if (value === number) return name;
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
  [11, "EAGAIN"],
  [19, "ENODEV"],
  [54, "EXFULL"],
  [95, "EOPNOTSUPP"],
  [524, "ENOTSUPP"],
]);

let opened: Libc | undefined;

function libc(): Libc {
  opened ??= open();
  return opened;
}

function open(): Libc {
  let last: unknown;
  for (const name of LIBC_NAMES) {
    try {
      return dlopen(name, SYMBOLS).symbols;
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

function errno(): number {
  return read.i32(libc().__errno_location() as Pointer, 0);
}

function check(op: string, result: number): number {
  if (result < 0) throw failure(op);
  return result;
}

function failure(op: string): TsnetError {
  const name = errnoName(errno());
  return new TsnetError(`${op}: ${name}`, { code: codeOfErrno(name), op, errno: name });
}
