/**
 * The helper as commands see it: there, and told of what has changed.
 *
 * Containers run without it, so what goes wrong here is a warning.
 *
 * @module
 */
import { isTsnetError, messageOf } from "../../lib/errors.ts";
import { warn } from "../../lib/log.ts";
import { removeCgroup } from "../../lib/sys/cgroup.ts";
import { askControl } from "../../lib/sys/control.ts";
import { exists, removeFile } from "../../lib/sys/files.ts";
import { flag, list, number, object, text } from "../state/shape.ts";
import type { State } from "../state/state.ts";
import { cgroupOfHelper, replaceHelper, startHelper } from "./keeper.ts";
import { clearPlace, HELPER, lockHelper, placeOf } from "./place.ts";

/** Milliseconds to wait for an answer, the helper's start included. */
const PATIENCE = 3000;
/** Milliseconds to wait for its end. */
const END_PATIENCE = 2000;

// A helper of an earlier build does not say that it reads logs, and does not.
const parseReport = object({ errors: list(text) }, { logs: flag });
const parseStatus = object({ pid: number }, { logs: flag });

/**
 * Starts the helper unless it runs; does not wait for it. It ends where the state tells of nothing and nobody holds the
 * state's lock: so hold it, or have written what there is to serve.
 */
export async function ensureHelper(state: State): Promise<void> {
  if (isHelper()) return;
  if (await formerIsGone(state)) await startHelper(state);
}

/**
 * False where a helper runs or is about to. One whose files somebody removed goes by itself and takes its ports along,
 * which the next one would find taken.
 */
async function formerIsGone(state: State): Promise<boolean> {
  const deadline = performance.now() + END_PATIENCE;
  const group = cgroupOfHelper();
  for (;;) {
    const lock = lockHelper(state);
    if (lock === undefined) return false;
    lock.release();
    if (group === undefined || removeCgroup(group) || performance.now() > deadline) return true;
    await Bun.sleep(5);
  }
}

/**
 * Returns when everything that the state tells of is served: names, ports, exit codes. Starts the helper if needed.
 * Waits at most 3 s.
 */
export async function syncHelper(state: State): Promise<void> {
  if (isHelper()) return;
  const { socket } = placeOf(state);
  const deadline = performance.now() + PATIENCE;
  const left = () => Math.max(1, Math.ceil(deadline - performance.now()));
  let started = false;
  for (;;) {
    try {
      const report = parseReport(
        await askControl(socket, { method: "POST", path: "/sync" }, left()),
        "the helper's answer",
      );
      if (report.logs === true || started) {
        for (const error of report.errors) warn(error);
        return;
      }
      await replaceOlder(state, left());
      started = true;
    } catch (error) {
      const away = isTsnetError(error, "not-found");
      if (!away || performance.now() > deadline) {
        warn(`the helper does not answer, so names may not resolve yet: ${messageOf(error)}`);
        return;
      }
      // It may be on its way, or have ended since somebody looked.
      if (!started) await ensureHelper(state);
      started = true;
      await Bun.sleep(5);
    }
  }
}

/** Has a helper of ours in place of one of an earlier build. */
async function replaceOlder(state: State, ms: number): Promise<void> {
  const answer = await askControl(placeOf(state).socket, { method: "GET", path: "/status" }, ms);
  const { pid, logs } = parseStatus(answer, "the helper's status");
  // Another command may have been quicker.
  if (logs !== true) replaceHelper(state, pid);
}

/**
 * After something went: the helper serves what is left, or where nothing is, is ended. To be called with the state
 * locked; whether it is to run at all is decided here alone.
 */
export async function settleHelper(state: State): Promise<void> {
  if (isHelper()) return;
  if (state.isEmpty()) await endHelper(state);
  else await syncHelper(state);
}

/** Ends the helper, and returns when it is gone with all that was its, whoever keeps it included. */
async function endHelper(state: State): Promise<void> {
  const deadline = performance.now() + END_PATIENCE;
  // First, so that one that was killed is not started again meanwhile.
  removeFile(placeOf(state).program);
  while (!(await hasEnded(state, deadline)) && performance.now() < deadline) await Bun.sleep(5);
  const group = cgroupOfHelper();
  // Its watcher ends a moment later.
  while (group !== undefined && !removeCgroup(group) && performance.now() < deadline) await Bun.sleep(2);
}

/** False for one that has begun and does not listen yet. */
async function hasEnded(state: State, deadline: number): Promise<boolean> {
  const { socket, lock } = placeOf(state);
  try {
    await askControl(socket, { method: "POST", path: "/end" }, END_PATIENCE);
    while (exists(lock) && performance.now() < deadline) await Bun.sleep(2);
    return true;
  } catch (error) {
    if (!isTsnetError(error)) throw error;
    const held = lockHelper(state);
    // One that was killed leaves its files.
    if (held !== undefined) clearPlace(state);
    held?.release();
    return held !== undefined;
  }
}

/** What the helper itself removes is no news to it. */
function isHelper(): boolean {
  return process.argv0.endsWith(`/${HELPER}`);
}
