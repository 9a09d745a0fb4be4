/**
 * A log that never takes more room than it may: what is written goes to FILE, and when that has half of the room it
 * becomes FILE.1, in place of the one before. So at least the last half of the room is always there.
 *
 * A file alone cannot do this: whoever could cut it is not there while a container floods it. So the container writes
 * to a pipe, and the kernel moves what stands there to the file: at no moment is any of it in a process, whose end
 * would be its end, and none takes memory here.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { hasErrno } from "../errors.ts";
import { openForReader } from "./fifo.ts";
import { check, openLibc } from "./libc.ts";
import { closeFile, O_CREAT, O_WRONLY, openFile, renameFile } from "./posix.ts";

/** Bytes that both files take together at most. */
export const LOG_ROOM = 10_000_000;

/** Bytes that are moved at a time: what a pipe holds. */
const CHUNK = 65536;
/** Bytes that a pipe may be made to hold: /proc/sys/fs/pipe-max-size. */
const MOST_IN_PIPE = 1 << 20;
/** Milliseconds between two looks at what comes. */
const PAUSE = 20;

// linux/splice.h
const SPLICE_F_NONBLOCK = 2;

const SYMBOLS = {
  splice: {
    args: [FFIType.i32, FFIType.ptr, FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.u32],
    returns: FFIType.i64,
  },
} as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

/** What became of a look at the pipe: some of it was moved, nothing stands in it, nobody has it open for writing. */
export type Moved = "some" | "none" | "ended";

/**
 * Begins to add what comes out of the named pipe `fifo` to the log at `path`, mode 0600, which nobody else may write
 * to. Undefined if there is no such pipe.
 */
export function openLogWriter(path: string, fifo: string): LogWriter | undefined {
  const pipe = openForReader(fifo);
  if (pipe === undefined) return undefined;
  try {
    return new LogWriter(path, pipe);
  } catch (error) {
    closeFile(pipe);
    throw error;
  }
}

/** A log that what comes out of a pipe is added to. */
export class LogWriter {
  readonly #path: string;
  /** Descriptor of the pipe's end for reading. */
  readonly pipe: number;
  #file: number;
  #size: number;

  constructor(path: string, pipe: number) {
    this.#path = path;
    this.pipe = pipe;
    this.#file = openLog(path);
    this.#size = fstatSync(this.#file).size;
  }

  /** Moves what a pipe usually holds, at most. A full disk must not stop a container: what does not fit is lost. */
  move(): Moved {
    try {
      if (this.#size >= LOG_ROOM / 2) this.#turnOver();
      const moved = splice(this.pipe, this.#file, { at: this.#size, most: LOG_ROOM / 2 - this.#size });
      this.#size += moved;
      return moved === 0 ? "ended" : "some";
    } catch (error) {
      if (hasErrno(error, "EAGAIN")) return "none";
      if (hasErrno(error, "EINTR")) return "some";
      return this.#lose();
    }
  }

  /** Moves all that stands in the pipe now. */
  drain(): Moved {
    let moved: Moved = "some";
    for (let bytes = 0; moved === "some" && bytes < MOST_IN_PIPE; bytes += CHUNK) moved = this.move();
    return moved;
  }

  close(): void {
    closeFile(this.#file);
    closeFile(this.pipe);
  }

  #turnOver(): void {
    renameFile(this.#path, `${this.#path}.1`);
    const file = openLog(this.#path);
    closeFile(this.#file);
    this.#file = file;
    this.#size = 0;
  }

  #lose(): Moved {
    const nowhere = openFile("/dev/null", O_WRONLY);
    try {
      return splice(this.pipe, nowhere, { at: 0, most: CHUNK }) === 0 ? "ended" : "some";
    } catch (error) {
      if (hasErrno(error, "EAGAIN")) return "none";
      throw error;
    } finally {
      closeFile(nowhere);
    }
  }
}

/** All that the log holds. */
export function readLog(path: string): Buffer {
  return readLogSoFar(path).data;
}

/** Where somebody who reads a log has got to. */
export interface LogPlace {
  readonly inode: number | undefined;
  /** Bytes. */
  readonly offset: number;
}

/** All that the log holds, and the place right after it. */
export function readLogSoFar(path: string): { readonly data: Buffer; readonly end: LogPlace } {
  for (;;) {
    const inode = inodeOf(path);
    const newer = read(path);
    const data = Buffer.concat([read(`${path}.1`), newer]);
    // Else it has been renamed in between.
    if (inodeOf(path) === inode) return { data, end: { inode, offset: newer.length } };
  }
}

export interface Following {
  readonly from: LogPlace;
  readonly write: (data: Buffer) => void;
  /** Asked before each look; the one after a no is the last. */
  readonly goOn: () => boolean;
}

/** Calls `write` with what comes to the log after a place, until `goOn` says no and all has been read. */
export async function followLog(path: string, { from, write, goOn }: Following): Promise<void> {
  let { inode, offset } = from;
  for (;;) {
    const last = !goOn();
    if (inodeOf(path) !== inode) {
      // The first that there was had no other before it.
      if (inode !== undefined) write(read(`${path}.1`, offset));
      [inode, offset] = [inodeOf(path), 0];
    }
    const more = read(path, offset);
    offset += more.length;
    if (more.length > 0) write(more);
    if (last) return;
    await Bun.sleep(PAUSE);
  }
}

// Not to append: splice(2) refuses to.
function openLog(path: string): number {
  return openFile(path, O_WRONLY | O_CREAT, 0o600);
}

/** splice(2) of at most a chunk out of a pipe, to byte `at` of a file; does not wait. 0: the pipe has no writer. */
function splice(pipe: number, file: number, { at, most }: { readonly at: number; readonly most: number }): number {
  opened ??= openLibc(SYMBOLS);
  const offset = new BigInt64Array([BigInt(at)]);
  const moved = opened.splice(pipe, null, file, offset, Math.min(most, CHUNK), SPLICE_F_NONBLOCK);
  return check("splice", Number(moved));
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
