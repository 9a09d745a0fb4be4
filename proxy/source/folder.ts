/**
 * The files of a directory of manifests: which of them are to be read (again), and which object counts in which.
 *
 * One that cannot be parsed keeps the objects that it had. An object that stands in two files counts in the one whose
 * name comes first.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import { namesIn, readIfThere } from "../../lib/sys/files.ts";
import { stampOf } from "../../lib/sys/watch.ts";
import { type Manifest, readManifests } from "./documents.ts";
import { Ownership } from "./ownership.ts";
import { KINDS, type Sink } from "./source.ts";

export interface FolderOptions {
  readonly directory: string;
  /** Nodes of other names are passed over. */
  readonly nodeName: string;
  readonly log: Log;
}

export class Folder {
  readonly #options: FolderOptions;
  /** Name → stamp of what was read. */
  readonly #stamps = new Map<string, string>();
  readonly #ownership = new Ownership();

  constructor(options: FolderOptions) {
    this.#options = options;
  }

  /**
   * These files were written, which their stamps need not show: the clock of a file system is coarse. The next scan
   * reads them.
   */
  written(names: Iterable<string>): void {
    for (const name of names) this.#stamps.delete(name);
  }

  /** Reads those of `names`, by default all, that are not as they were. */
  scan(sink: Sink, names = this.#allNames()): void {
    for (const name of names) this.#read(name, sink);
    // Objects that another file had and that now count where they stand a second time.
    for (let heir = this.#ownership.heir(); heir !== undefined; heir = this.#ownership.heir()) {
      this.#stamps.delete(heir);
      this.#read(heir, sink);
    }
  }

  /** What is there, and what was. */
  #allNames(): readonly string[] {
    const there = namesIn(this.#options.directory).filter(isManifest);
    return [...new Set([...there, ...this.#ownership.files()])].sort();
  }

  #read(name: string, sink: Sink): void {
    const { directory, log, nodeName } = this.#options;
    const path = `${directory}/${name}`;
    const stamp = stampOf(path);
    if (stamp === undefined) {
      this.#stamps.delete(name);
      this.#take(name, [], sink);
      return;
    }
    if (stamp === this.#stamps.get(name)) return;
    this.#stamps.set(name, stamp);
    try {
      const text = readIfThere(path) ?? "";
      const manifests = readManifests(text, path, {
        problem: (problem) => log.warn(problem),
        passedOver: (what) => log.debug(4, "none of what a proxy reads", { manifest: what }),
      });
      this.#take(
        name,
        manifests.filter(({ kind, key }) => kind !== "Node" || key === nodeName),
        sink,
      );
    } catch (error) {
      log.warn(`${path} cannot be read: what it said before holds on`, { reason: messageOf(error) });
    }
  }

  /** `manifests` are now what the file of this name holds. */
  #take(name: string, manifests: readonly Manifest[], sink: Sink): void {
    const earlier = new Set(this.#ownership.of(name));
    const seen = new Set<string>();
    for (const manifest of manifests) {
      const id = `${manifest.kind} ${manifest.key}`;
      const again = seen.has(id);
      seen.add(id);
      const owner = this.#ownership.claim(id, name);
      if (!again && owner === name) manifest.deliver(sink);
      if (again) this.#warnOfDouble(id, [name, name]);
      else if (!earlier.has(id)) this.#warnOfDouble(id, this.#ownership.filesOf(id));
    }
    for (const id of earlier) {
      if (!seen.has(id) && this.#ownership.release(id, name)) removeFrom(sink, id);
    }
  }

  #warnOfDouble(id: string, files: readonly string[]): void {
    if (files.length < 2) return;
    const { log, directory } = this.#options;
    log.warn(`${id} stands in ${files.join(" and in ")}: the first one counts, remove the other`, { directory });
  }
}

/** Files that end in .yaml, .yml or .json, but for hidden ones. */
export function isManifest(name: string): boolean {
  return !name.startsWith(".") && /\.(ya?ml|json)$/.test(name);
}

function removeFrom(sink: Sink, id: string): void {
  const kind = KINDS.find((each) => id.startsWith(`${each} `));
  if (kind !== undefined) sink.delete(kind, id.slice(kind.length + 1));
}
