/**
 * The host's one helper: a process that stays as long as there is a network or a container, and does what no rule
 * of the kernel's does for them. Started by whoever makes the first; killed at any moment it is started again, and
 * finds all that it needs in the state and in the kernel.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import { writeStderr } from "../../lib/sys/stdio.ts";
import { State } from "../state/state.ts";
import { openParts } from "./parts.ts";
import { EXIT, lockHelper } from "./place.ts";
import { serve } from "./serve.ts";

/** Milliseconds: somebody who only looks whether a helper runs holds the lock for less. */
const LOCK_PATIENCE = 300;

/** Serves until nothing is left, and returns the exit code. */
export async function main(): Promise<number> {
  try {
    const state = new State();
    const lock = lockHelper(state, LOCK_PATIENCE);
    if (lock === undefined) return EXIT.anotherRuns;
    await serve(state, openParts());
    return EXIT.nothingLeft;
  } catch (error) {
    writeStderr(`tsnet helper: ${messageOf(error)}\n`);
    return 1;
  }
}
