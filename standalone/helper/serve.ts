/**
 * The helper's life: it listens for commands, follows the state, and ends when nothing is left.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { type ControlRequest, serveControl } from "../../lib/sys/control.ts";
import { lockFile } from "../../lib/sys/files.ts";
import { residentBytes } from "../../lib/sys/memory.ts";
import type { State } from "../state/state.ts";
import { StateFollower } from "./follower.ts";
import { clearPlace, placeOf } from "./place.ts";
import { Service } from "./service.ts";
import type { HelperPart } from "./view.ts";

/** Milliseconds between two looks at what changes without a word. */
const TICK = 100;
/** Milliseconds between two syncs where nobody told of a change: inotify may lose events. */
const CALM = 10_000;

/** Returns when nothing is left to serve. */
export async function serve(state: State, parts: ReadonlyMap<string, HelperPart>): Promise<void> {
  const service = new Service(state, parts);
  let ended = false;
  const answer = async ({ method, path }: ControlRequest): Promise<unknown> => {
    if (method === "GET" && path === "/status") return statusOf(service);
    if (method === "POST" && path === "/sync") return service.sync();
    if (method !== "POST" || path !== "/end") return undefined;
    ended ||= service.isIdle();
    return { ended };
  };
  const control = serveControl(placeOf(state).socket, answer);
  const follower = new StateFollower(state);
  let synced = Number.NEGATIVE_INFINITY;
  while (!ended) {
    if (follower.changed() || performance.now() - synced > CALM) {
      await service.sync();
      synced = performance.now();
    }
    if (service.isIdle() && nobodyIsAtWork(state)) break;
    await Bun.sleep(TICK);
  }
  follower.close();
  control.close();
  service.close();
  clearPlace(state);
}

function statusOf(service: Service): unknown {
  return { pid: process.pid, residentBytes: residentBytes(), ...service.last };
}

/** An `up` or `down` may be about to make what we are to serve. */
function nobodyIsAtWork({ directory }: State): boolean {
  try {
    lockFile(`${directory}/lock`, 0).release();
    return true;
  } catch (error) {
    if (isTsnetError(error, "busy")) return false;
    throw error;
  }
}
