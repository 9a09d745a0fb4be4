/**
 * A directory of manifests as a source: for hosts without a cluster, and to try things out. Files that end in .yaml,
 * .yml or .json count, but for hidden ones; directories in it do not.
 *
 * Changes are heard of and, since that may fail, looked for as well. A file is read when it has been quiet for a moment, so that one
 * that is written in pieces is not seen half. One that cannot be parsed keeps the objects that it had. An object
 * that stands in two files counts in the one whose name comes first.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { namesIn, readIfThere } from "../../lib/sys/files.ts";
import { type DirectoryWatch, identityOf, stampOf, watchDirectory } from "../../lib/sys/watch.ts";
import type { Log } from "../log.ts";
import { type Manifest, readManifests } from "./documents.ts";
import { Ownership } from "./ownership.ts";
import type { Kind, Sink, Source } from "./source.ts";

export interface ManifestOptions {
  readonly directory: string;
  /** Read once, at the start, and no more. */
  readonly once: boolean;
  /** Nodes of other names are passed over. */
  readonly nodeName: string;
  readonly log: Log;
  /** ms between two looks at all files, 5,000 unless given. */
  readonly rescan?: number;
}

/** Its `start` reads all there is before it returns. @throws TsnetError `not-found` from there without the directory. */
export function manifestSource(options: ManifestOptions): Source {
  return new ManifestDirectory(options);
}

const KINDS: readonly Kind[] = ["Service", "EndpointSlice", "ServiceCIDR", "Node"];
const RESCAN_MS = 5000;
/** How long a file has to be quiet, and how long that may be put off by others. */
const QUIET_MS = 15;
const IMPATIENCE_MS = 200;

class ManifestDirectory implements Source {
  readonly #options: ManifestOptions;
  /** Name → stamp of what was read. */
  readonly #files = new Map<string, string>();
  readonly #ownership = new Ownership();
  #watch: DirectoryWatch | undefined;
  #identity: string | undefined;
  #missing = false;
  #rescan: Timer | undefined;
  #quiet: Timer | undefined;
  #firstHeard = 0;
  /** Names heard of since the last look, and whether there was an event that names no file of ours. */
  readonly #written = new Set<string>();
  #unsure = false;

  constructor(options: ManifestOptions) {
    this.#options = options;
  }

  start(sink: Sink): void {
    const { directory, once, rescan = RESCAN_MS } = this.#options;
    if (identityOf(directory) === undefined) {
      throw new TsnetError(`directory of manifests ${directory} is not there: make it, or name another one`, {
        code: "not-found",
      });
    }
    // First the watch, then the look: nothing happens in between that is not seen.
    if (!once) this.#listen(sink);
    this.#scan(sink);
    for (const kind of KINDS) sink.synced(kind);
    if (!once) this.#rescan = setInterval(() => this.#look(sink), rescan);
  }

  async stop(): Promise<void> {
    clearInterval(this.#rescan);
    clearTimeout(this.#quiet);
    this.#watch?.close();
    this.#watch = undefined;
  }

  /** Also after the directory itself was replaced. */
  #listen(sink: Sink): void {
    const { directory, log } = this.#options;
    this.#watch?.close();
    this.#watch = undefined;
    try {
      this.#identity = identityOf(directory);
      this.#watch = watchDirectory(
        directory,
        (name) => this.#heard(name, sink),
        () => this.#listen(sink),
      );
    } catch (error) {
      log.warn("cannot watch the manifests: changes are seen at the next look", {
        directory,
        reason: messageOf(error),
      });
    }
  }

  #heard(name: string | undefined, sink: Sink): void {
    if (name !== undefined && isManifest(name)) this.#written.add(name);
    else if (name === undefined || !isNoise(name)) this.#unsure = true;
    else return;
    const now = performance.now();
    if (this.#quiet === undefined) this.#firstHeard = now;
    else if (now - this.#firstHeard > IMPATIENCE_MS) return;
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined;
      // The stamp may be the same though it was written: the clock of a file system is coarse.
      for (const each of this.#written) this.#files.delete(each);
      this.#look(sink, this.#unsure ? undefined : [...this.#written].sort());
      this.#written.clear();
      this.#unsure = false;
    }, QUIET_MS);
  }

  /** What a timer calls: an error here is one of the system, and the next look may do better. */
  #look(sink: Sink, names?: readonly string[]): void {
    const { directory, log } = this.#options;
    try {
      const identity = identityOf(directory);
      this.#tellPresence(identity !== undefined, sink);
      if (identity === undefined) return;
      if (identity !== this.#identity || this.#watch === undefined) this.#listen(sink);
      this.#scan(sink, names);
    } catch (error) {
      log.warn("cannot look at the manifests: what they said holds on", { directory, reason: messageOf(error) });
    }
  }

  /** A directory that is away, such as one that is mounted again, says nothing about its files. */
  #tellPresence(there: boolean, sink: Sink): void {
    if (there === !this.#missing) return;
    this.#missing = !there;
    const reason = `${this.#options.directory} is not there`;
    for (const kind of KINDS) sink.connection(kind, there ? "up" : "down", there ? undefined : reason);
  }

  /** Reads those of `names`, by default all, that are not as they were. */
  #scan(sink: Sink, names = this.#allNames()): void {
    for (const name of names) this.#read(name, sink);
    // Objects that another file had and that now count where they stand a second time.
    for (let heir = this.#ownership.heir(); heir !== undefined; heir = this.#ownership.heir()) {
      this.#files.delete(heir);
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
      this.#files.delete(name);
      this.#take(name, [], sink);
      return;
    }
    if (stamp === this.#files.get(name)) return;
    this.#files.set(name, stamp);
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

function isManifest(name: string): boolean {
  return !name.startsWith(".") && /\.(ya?ml|json)$/.test(name);
}

/** What editors leave beside a file. A name that begins with two dots is how a volume of a config map is swapped. */
function isNoise(name: string): boolean {
  return (name.startsWith(".") && !name.startsWith("..")) || name.endsWith("~") || name.endsWith(".tmp");
}

function removeFrom(sink: Sink, id: string): void {
  const kind = KINDS.find((each) => id.startsWith(`${each} `));
  if (kind !== undefined) sink.delete(kind, id.slice(kind.length + 1));
}
