/**
 * The host's one helper: a process that stays as long as there is a network or a container, and does what no rule
 * of the kernel's does for them. Started by whoever makes the first; killed at any moment it is started again, and
 * finds all that it needs in the state and in the kernel.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import { exists, overwriteFile } from "../../lib/sys/files.ts";
import { endedAmong, type HeldProcess, holdProcess } from "../../lib/sys/pidfd.ts";
import { identify } from "../../lib/sys/process.ts";
import { writeStderr } from "../../lib/sys/stdio.ts";
import { State } from "../state/state.ts";
import { startWatcher } from "./keeper.ts";
import { openParts } from "./parts.ts";
import { EXIT, hasLock, lockHelper, placeOf } from "./place.ts";
import { serve } from "./serve.ts";

/** Milliseconds: somebody who only looks whether a helper runs holds the lock for less. */
const LOCK_PATIENCE = 300;
/** Bytes of the log, which lies in memory, before it begins anew. */
const LOG_ROOM = 1_000_000;

/** Serves until nothing is left, and returns the exit code. */
export async function main(): Promise<number> {
  const state = new State();
  const say = openLog(placeOf(state).log);
  try {
    const lock = lockHelper(state, LOCK_PATIENCE);
    if (lock === undefined) return EXIT.anotherRuns;
    const isOusted = () => !hasLock(state, lock);
    const end = await serve({ state, parts: openParts(), say, tick: watchKeeper(state, say), isOusted });
    if (end === "ousted") say("the files of this process were removed: it goes");
    return end === "ousted" && exists(placeOf(state).lock) ? EXIT.anotherRuns : EXIT[end];
  } catch (error) {
    say(messageOf(error));
    return 1;
  }
}

/** Writes lines to standard error, which is the log or a journal. */
function openLog(path: string): (message: string) => void {
  let written = 0;
  return (message) => {
    const line = `${new Date().toISOString()} ${message.replaceAll("\n", "; ")}\n`;
    written += line.length;
    if (written > LOG_ROOM) {
      overwriteFile(path, "", 0o600);
      written = line.length;
    }
    writeStderr(line);
  };
}

/** Whoever keeps us alive may be killed, too: then another does. */
function watchKeeper(state: State, say: (message: string) => void): () => void {
  let keeper = hold(process.ppid);
  return () => {
    if (keeper === undefined || endedAmong([keeper]).length === 0) return;
    say("the watcher of this process is gone: another one begins");
    keeper.close();
    keeper = hold(startWatcher(state));
  };
}

function hold(pid: number): HeldProcess | undefined {
  const process = identify(pid);
  return process === undefined ? undefined : holdProcess(process);
}
