/**
 * One agent a host: two would undo each other's work.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../lib/errors.ts";
import { readAgentState } from "../lib/overlay/state.ts";
import { type FileLock, isTemporary, lockFile, makeDirectory, namesIn, removeFile } from "../lib/sys/files.ts";
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
    const lock = lockFile(lockPathOf(settings), WAIT_MS);
    removeRemains(settings);
    return lock;
  } catch (error) {
    if (!isTsnetError(error, "busy", "timeout")) throw error;
    const pid = pidIn(statePathOf(settings));
    throw new TsnetError(
      `an agent of the overlay runs on this host already${pid === undefined ? "" : `, process ${pid}`}: stop it first`,
      { code: "busy", op: "lock", cause: error },
    );
  }
}

/** Files that an agent was killed over while it wrote them. They do no harm, so that one that stays keeps nobody. */
function removeRemains({ stateDir, dataDir, subnetFile }: OverlaySettings): void {
  const directories = new Set([stateDir, dataDir, subnetFile.slice(0, Math.max(1, subnetFile.lastIndexOf("/")))]);
  for (const directory of directories) {
    try {
      for (const name of namesIn(directory)) if (isTemporary(name)) removeFile(`${directory}/${name}`);
    } catch {
      // As said.
    }
  }
}

/** Undefined if the state does not tell, or cannot be read. */
function pidIn(statePath: string): number | undefined {
  try {
    return readAgentState(statePath)?.pid;
  } catch {
    return undefined;
  }
}

/** The file that the lock is on. */
export function lockPathOf({ stateDir }: OverlaySettings): string {
  return `${stateDir}/agent.lock`;
}
