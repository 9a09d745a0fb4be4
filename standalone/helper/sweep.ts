/**
 * Containers that nobody removes: those that were to go with the end of their command, and foreign ones whose owner
 * has gone, of which veth, address, rules and names are left.
 *
 * @module
 */
import { disconnect, openRuntime } from "../attach.ts";
import { isRunning } from "../container/stop.ts";
import { removeContainer } from "../down.ts";
import { dropUnused } from "../remove.ts";
import type { ContainerRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";

/** Which containers are to go. */
export type IsOver = (record: ContainerRecord) => boolean;

/** A container that was to go with its command, which has ended. */
export function isSpent(record: ContainerRecord): boolean {
  return record.autoRemove === true && record.phase === "running" && !isRunning(record);
}

/** Removes them; false, and nothing is done, if a command is at work, which may be removing them. */
export async function sweep(state: State, isOver: IsOver): Promise<boolean> {
  const lock = state.tryLock();
  if (lock === undefined) return false;
  try {
    const runtime = openRuntime(state.directory);
    for (const record of state.containers().filter(isOver)) {
      if (record.network === "foreign") {
        await disconnect(runtime, record);
        state.removeContainer(record);
      } else {
        await removeContainer(record, { state, runtime, graceSeconds: 0 });
      }
    }
    await dropUnused(state);
    return true;
  } finally {
    lock.release();
  }
}
