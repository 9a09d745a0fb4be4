/**
 * Whether the state has changed since somebody asked: told by inotify, so also what a command wrote that was killed
 * before it told the helper.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { type DirectoryWatch, identityOf, watchDirectory } from "../../lib/sys/watch.ts";
import type { State } from "../state/state.ts";

interface Watched {
  /** Which folder it is: it goes with its last entry, and comes anew. */
  identity: string | undefined;
  watch: DirectoryWatch | undefined;
}

export class StateFollower {
  readonly #folders: ReadonlyMap<string, Watched>;
  #changed = true;

  constructor({ directory }: Pick<State, "directory">) {
    this.#folders = new Map(
      ["containers", "networks"].map((name) => [`${directory}/${name}`, { identity: undefined, watch: undefined }]),
    );
  }

  /** Whether anything was written since the last call. Does not wait. */
  changed(): boolean {
    for (const [path, watched] of this.#folders) this.#follow(path, watched);
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  close(): void {
    for (const { watch } of this.#folders.values()) watch?.close();
  }

  #follow(path: string, watched: Watched): void {
    const identity = identityOf(path);
    if (identity === watched.identity) return;
    watched.watch?.close();
    const tell = () => {
      this.#changed = true;
    };
    tell();
    watched.watch = identity === undefined ? undefined : tryWatch(path, tell);
    watched.identity = watched.watch === undefined ? undefined : identity;
  }
}

/** Undefined where the folder has gone meanwhile, or inotify has no room: a look from time to time has to do. */
function tryWatch(path: string, tell: () => void): DirectoryWatch | undefined {
  try {
    return watchDirectory(path, tell, tell);
  } catch (error) {
    if (isTsnetError(error)) return undefined;
    throw error;
  }
}
