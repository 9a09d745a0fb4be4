/**
 * Files by the C library's own calls.
 *
 * Why not node:fs: loading it costs 1.4 ms, a quarter of what a whole plugin call may take, and a plugin needs
 * the C library for its sockets anyway. The commands of `tsnet` use it where they need more than this.
 *
 * Everything is synchronous; a failing call throws a {@link TsnetError} that carries the errno name.
 *
 * @module
 */
import { check, cString, EAGAIN, EINTR, errno, failure, libc } from "./libc.ts";

// asm-generic/fcntl.h, the same on x86-64 and arm64.
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
const O_CLOEXEC = 0o2000000;

// asm/unistd.h: calls that musl or an older glibc has no function for, or that too few callers need.
const SYS =
  process.arch === "arm64"
    ? { statx: 291n, getdents64: 61n, openat: 56n }
    : { statx: 332n, getdents64: 217n, openat: 257n };
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ffn;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

const CHUNK_BYTES = 16 * 1024;
const GLANCE_BYTES = 1024;
// NAME_MAX of linux/limits.h.
const MOST_NAME_BYTES = 255;

/** What of a file's inode we look at. */
export interface Status {
  /** Device number, major and minor in one. */
  readonly device: number;
  readonly inode: number;
  readonly isFile: boolean;
  /** Milliseconds since the epoch, with fractions down to a microsecond. */
  readonly modifiedMs: number;
}

/** open(2), with O_CLOEXEC. */
export function openFile(path: string, flags: number, mode = 0o644): number {
  return check(`open ${path}`, libc().open(cString(path), flags | O_CLOEXEC, mode));
}

/** openat(2) of a path below the open directory `folder`, with O_CLOEXEC. */
export function openBelow(folder: number, path: string, flags: number): number {
  const fd = libc().syscall(SYS.openat, BigInt(folder), cString(path), BigInt(flags | O_CLOEXEC), 0n, null);
  return check(`open ${path}`, Number(fd));
}

/** close(2). */
export function closeFile(fd: number): void {
  check("close", libc().close(fd));
}

let scratch: Buffer | undefined;

/** Everything from `fd` to its end, as text in UTF-8. */
export function readAll(fd: number): string {
  // A container's ADD reads a file of each other container: what fits is read where the last one was.
  scratch ??= Buffer.allocUnsafeSlow(CHUNK_BYTES);
  const chunks: Buffer[] = [];
  for (let filled = 0; ; ) {
    const length = readInto(fd, scratch.subarray(filled));
    if (length === 0) {
      const last = scratch.subarray(0, filled);
      return (chunks.length === 0 ? last : Buffer.concat([...chunks, last])).toString("utf8");
    }
    filled += length;
    if (filled < CHUNK_BYTES) continue;
    chunks.push(Buffer.from(scratch));
    filled = 0;
  }
}

function readInto(fd: number, room: Buffer): number {
  for (;;) {
    const length = Number(libc().read(fd, room, room.byteLength));
    if (length < 0 && errno() === EINTR) continue;
    return check("read", length);
  }
}

/** Writes all of `bytes`. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  let rest = bytes;
  while (rest.byteLength > 0) {
    const written = Number(libc().write(fd, rest, rest.byteLength));
    if (written < 0 && errno() === EINTR) continue;
    if (written < 0 && errno() === EAGAIN) {
      // Somebody made the pipe non-blocking, and its reader is slow.
      Bun.sleepSync(1);
      continue;
    }
    check("write", written);
    rest = rest.subarray(written);
  }
}

/** fsync(2). */
export function syncFile(fd: number): void {
  check("fsync", libc().fsync(fd));
}

/** The whole file as text. */
export function readFile(path: string): string {
  const fd = openFile(path, O_RDONLY);
  try {
    return readAll(fd);
  } finally {
    closeFile(fd);
  }
}

/** Opens with `flags`, writes `text`, closes. */
export function writeFile(path: string, text: string | Uint8Array, flags: number, mode?: number): void {
  const fd = openFile(path, flags, mode);
  try {
    writeAll(fd, typeof text === "string" ? Buffer.from(text) : text);
  } finally {
    closeFile(fd);
  }
}

/** link(2). */
export function linkFile(from: string, to: string): void {
  check(`link ${to}`, libc().link(cString(from), cString(to)));
}

/** rename(2). */
export function renameFile(from: string, to: string): void {
  check(`rename ${from} to ${to}`, libc().rename(cString(from), cString(to)));
}

/** unlink(2). */
export function unlinkFile(path: string): void {
  check(`unlink ${path}`, libc().unlink(cString(path)));
}

/** mkdir(2). */
export function makeOneDirectory(path: string, mode: number): void {
  check(`mkdir ${path}`, libc().mkdir(cString(path), mode));
}

/** Sets access and modification time, in milliseconds since the epoch, exact to the microsecond. */
export function setTimes(path: string, ms: number): void {
  const microseconds = BigInt(Math.round(ms * 1000));
  const time = [microseconds / 1_000_000n, (microseconds % 1_000_000n) * 1000n] as const;
  check(`utimensat ${path}`, libc().utimensat(AT_FDCWD, cString(path), new BigInt64Array([...time, ...time]), 0));
}

/** The names in a directory, without `.` and `..`, in no order. */
export function listDirectory(path: string): string[] {
  const fd = openFile(path, O_RDONLY | O_DIRECTORY);
  try {
    const names: string[] = [];
    const buffer = Buffer.allocUnsafe(2 * CHUNK_BYTES);
    for (;;) {
      const length = Number(libc().syscall(SYS.getdents64, BigInt(fd), buffer, BigInt(buffer.length), 0n, null));
      check(`list ${path}`, length);
      if (length === 0) return names;
      // Decoded at once, as ASCII has it: a folder may have thousands of names, and nearly all are of that kind.
      const text = buffer.toString("latin1", 0, length);
      // struct linux_dirent64: u64 inode, s64 offset, u16 record length, u8 type, name with its NUL.
      for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16)) {
        const end = text.indexOf("\0", at + 19);
        const plain = text.slice(at + 19, end);
        const name = BEYOND_ASCII.test(plain) ? buffer.toString("utf8", at + 19, end) : plain;
        if (name !== "." && name !== "..") names.push(name);
      }
    }
  } finally {
    closeFile(fd);
  }
}

/**
 * Of the files `names` in a directory, those that hold `text`; also those that cannot be read, or are longer than what
 * is looked at, which the caller has to read himself. Three calls a file and nothing made for one: there may be
 * thousands.
 */
export function filesHolding(directory: string, names: readonly string[], text: string): readonly string[] {
  const { syscall, read, close } = libc();
  const folder = openFile(directory, O_RDONLY | O_DIRECTORY);
  const [at, flags] = [BigInt(folder), BigInt(O_RDONLY | O_CLOEXEC)];
  const wanted = Buffer.from(text);
  const path = Buffer.alloc(MOST_NAME_BYTES + 1);
  const content = Buffer.alloc(GLANCE_BYTES);
  try {
    return names.filter((name) => {
      path[path.write(name, 0, MOST_NAME_BYTES)] = 0;
      const fd = Number(syscall(SYS.openat, at, path, flags, 0n, null));
      if (fd < 0) return true;
      const length = Number(read(fd, content, GLANCE_BYTES));
      close(fd);
      if (length < 0 || length === GLANCE_BYTES) return true;
      const found = content.indexOf(wanted);
      // Behind its end there is what the file before it held.
      return found >= 0 && found + wanted.length <= length;
    });
  } finally {
    closeFile(folder);
  }
}

/** stat(2) of a path, links followed, or fstat(2) of a descriptor. */
export function statusOf(file: string | number): Status {
  const [fd, path, flags] = typeof file === "number" ? [file, "", AT_EMPTY_PATH] : [AT_FDCWD, file, 0];
  // struct statx, linux/stat.h.
  const stat = Buffer.allocUnsafe(256);
  const result = libc().syscall(SYS.statx, BigInt(fd), cString(path), BigInt(flags), STATX_BASIC_STATS, stat);
  if (Number(result) < 0) throw failure(`stat ${file}`);
  return {
    device: stat.readUInt32LE(136) * 2 ** 20 + stat.readUInt32LE(140),
    inode: Number(stat.readBigUInt64LE(32)),
    isFile: (stat.readUInt16LE(28) & S_IFMT) === S_IFREG,
    modifiedMs: Number(stat.readBigInt64LE(112)) * 1000 + Math.floor(stat.readUInt32LE(120) / 1000) / 1000,
  };
}

const BEYOND_ASCII = /[\x80-\xff]/;
