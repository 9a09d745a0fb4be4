/**
 * Which of many descriptors have something to read, asked with one call that does not wait: epoll(7). The runtime has
 * no way to be told so of a named pipe without an object and a buffer for each.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { check, EINTR, errno, failure, openLibc } from "./libc.ts";
import { closeFile } from "./posix.ts";

// sys/epoll.h
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
// struct epoll_event: u32 events, 64 bits of the user's; packed on x86-64 alone.
const EVENT_BYTES = process.arch === "x64" ? 12 : 16;
const DATA_AT = EVENT_BYTES - 8;
/** How many are told of at a time; the others have their turn the next time. */
const MOST_EVENTS = 64;

const SYMBOLS = {
  epoll_create1: { args: [FFIType.i32], returns: FFIType.i32 },
  epoll_ctl: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
  epoll_wait: { args: [FFIType.i32, FFIType.ptr, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
} as const;

let opened: ReturnType<typeof openLibc<typeof SYMBOLS>> | undefined;

function calls() {
  opened ??= openLibc(SYMBOLS);
  return opened;
}

/** A set of descriptors. */
export class Epoll {
  readonly #fd = check("epoll_create1", calls().epoll_create1(EPOLL_CLOEXEC));
  readonly #events = Buffer.alloc(MOST_EVENTS * EVENT_BYTES);

  add(fd: number): void {
    const event = Buffer.alloc(EVENT_BYTES);
    event.writeUInt32LE(EPOLLIN);
    event.writeInt32LE(fd, DATA_AT);
    check("epoll_ctl", calls().epoll_ctl(this.#fd, EPOLL_CTL_ADD, fd, event));
  }

  /** To be called before the descriptor is closed. */
  remove(fd: number): void {
    check("epoll_ctl", calls().epoll_ctl(this.#fd, EPOLL_CTL_DEL, fd, this.#events));
  }

  /** Those that have something to read, or have come to their end: at most 64, each in its turn. Does not wait. */
  ready(): readonly number[] {
    const count = calls().epoll_wait(this.#fd, this.#events, MOST_EVENTS, 0);
    if (count < 0) {
      if (errno() === EINTR) return NONE;
      throw failure("epoll_wait");
    }
    if (count === 0) return NONE;
    return Array.from({ length: count }, (_, at) => this.#events.readInt32LE(at * EVENT_BYTES + DATA_AT));
  }

  close(): void {
    closeFile(this.#fd);
  }
}

const NONE: readonly number[] = [];
