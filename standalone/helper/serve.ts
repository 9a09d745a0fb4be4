/**
 * The helper's life: it listens for commands, follows the state, and ends when nothing is left.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { type ControlRequest, serveControl } from "../../lib/sys/control.ts";
import { lockFile, makeDirectory } from "../../lib/sys/files.ts";
import { residentBytes } from "../../lib/sys/memory.ts";
import { type DirectoryWatch, watchDirectory } from "../../lib/sys/watch.ts";
import type { State } from "../state/state.ts";
import { clearPlace, placeOf } from "./place.ts";
import { Service } from "./service.ts";
import type { HelperPart } from "./view.ts";

/** Milliseconds between two looks at what changes without a word. */
const TICK = 100;
/** Milliseconds between two syncs where nobody told of a change: inotify may lose events. */
const CALM = 10_000;
/** Milliseconds to wait for the first network or container. */
const FIRST_PATIENCE = 10_000;

/** Returns when nothing is left to serve. */
export async function serve(state: State, parts: ReadonlyMap<string, HelperPart>): Promise<void> {
  const service = new Service(state, parts);
  const begun = performance.now();
  let seen = false;
  let ended = false;
  const answer = async ({ method, path }: ControlRequest): Promise<unknown> => {
    if (method === "GET" && path === "/status") return statusOf(service);
    if (method === "POST" && path === "/sync") return service.sync();
    if (method !== "POST" || path !== "/end") return undefined;
    ended ||= service.isIdle();
    return { ended };
  };
  const control = serveControl(placeOf(state).socket, answer);
  const watches = watchState(state, () => void service.sync());
  let looked = 0;
  while (!ended) {
    const now = performance.now();
    if (now - looked > CALM) {
      looked = now;
      await service.sync();
    }
    const idle = service.isIdle();
    seen ||= !idle;
    if (idle && (seen || now - begun > FIRST_PATIENCE) && nobodyIsAtWork(state)) break;
    await Bun.sleep(TICK);
  }
  for (const watch of watches) watch.close();
  control.close();
  service.close();
  clearPlace(state);
}

function statusOf(service: Service): unknown {
  return { pid: process.pid, residentBytes: residentBytes(), ...service.last };
}

/** Told by inotify of what commands wrote, also of what one that was killed then did not tell us of. */
function watchState({ directory }: State, changed: () => void): readonly DirectoryWatch[] {
  return ["containers", "networks"].flatMap((name) => {
    makeDirectory(`${directory}/${name}`, 0o700);
    return watchDirectory(`${directory}/${name}`, changed, changed);
  });
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
