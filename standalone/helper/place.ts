/**
 * Where the helper is on a host: its lock, its socket, its program, its log. All of it lies with the state.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { type FileLock, lockFile, makeDirectory, removeFile, sameFile } from "../../lib/sys/files.ts";
import type { State } from "../state/state.ts";

/** The name by which the executable is the helper. */
export const HELPER = "tsnet-helper";

/** Exit codes that its keeper understands: all others are to be followed by another start. */
export const EXIT = { nothingLeft: 0, ousted: 1, anotherRuns: 3 } as const;

/** Paths of the helper. */
export function placeOf({ directory }: Pick<State, "directory">) {
  return {
    /** Held by the helper that runs. */
    lock: `${directory}/helper.lock`,
    /** Where it is asked: HTTP. */
    socket: `${directory}/helper.sock`,
    /** A link to the executable, by which it knows that it is the helper. */
    program: `${directory}/${HELPER}`,
    /** What it has to say, where no service manager listens. */
    log: `${directory}/helper.log`,
  } as const;
}

/** Takes the helper's lock, waiting `ms` at most; undefined if another has it. */
export function lockHelper(state: State, ms = 0): FileLock | undefined {
  const { lock: path } = placeOf(state);
  makeDirectory(state.directory);
  for (;;) {
    const lock = tryLock(path, ms);
    // The one before us removed the file that we waited at: what counts is the lock on the one that is there.
    if (lock === undefined || hasLock(state, lock)) return lock;
    lock.release();
  }
}

/** Whether the lock is that on the file which is there: others removed, with all of the state, would lock another. */
export function hasLock(state: State, lock: FileLock): boolean {
  return sameFile(placeOf(state).lock, `/proc/self/fd/${lock.fd}`);
}

/** Removes what a helper leaves; to be called by the one that holds the lock. */
export function clearPlace(state: State): void {
  const { lock, socket, log } = placeOf(state);
  for (const path of [socket, log, lock]) removeFile(path);
}

function tryLock(path: string, ms: number): FileLock | undefined {
  try {
    return lockFile(path, ms);
  } catch (error) {
    if (isTsnetError(error, "busy")) return undefined;
    throw error;
  }
}
