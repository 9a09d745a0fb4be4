/**
 * One agent a host: two would undo each other's work.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../lib/errors.ts";
import { readAgentState } from "../lib/overlay/state.ts";
import { type FileLock, lockFile, makeDirectory } from "../lib/sys/files.ts";
import { statePathOf } from "./publisher.ts";
import type { OverlaySettings } from "./settings.ts";

// Whoever asks whether an agent runs holds it for a moment.
const WAIT_MS = 200;

/**
 * Held until it is closed or the process ends.
 *
 * @throws TsnetError `busy` if an agent runs, naming its process.
 */
export function lockHost(settings: OverlaySettings): FileLock {
  makeDirectory(settings.stateDir);
  try {
    return lockFile(lockPathOf(settings), WAIT_MS);
  } catch (error) {
    if (!isTsnetError(error, "busy", "timeout")) throw error;
    const pid = readAgentState(statePathOf(settings))?.pid;
    throw new TsnetError(
      `an agent of the overlay runs on this host already${pid === undefined ? "" : `, process ${pid}`}: stop it first`,
      { code: "busy", op: "lock", cause: error },
    );
  }
}

/** The file that the lock is on. */
export function lockPathOf({ stateDir }: OverlaySettings): string {
  return `${stateDir}/agent.lock`;
}
