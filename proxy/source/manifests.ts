/**
 * A directory of manifests as a source: for hosts without a cluster, and to try things out. Files that end in .yaml,
 * .yml or .json count, but for hidden ones; directories in it do not.
 *
 * Changes are heard of and, since that may fail, looked for as well. A file is read when it has been quiet for a
 * moment, so that one that is written in pieces is not seen half.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { type DirectoryWatch, identityOf, watchDirectory } from "../../lib/sys/watch.ts";
import { Folder, type FolderOptions, isManifest } from "./folder.ts";
import { KINDS, type Sink, type Source } from "./source.ts";

export interface ManifestOptions extends FolderOptions {
  /** Read once, at the start, and no more. */
  readonly once: boolean;
  /** ms between two looks at all files, 5,000 unless given. */
  readonly rescan?: number;
}

/** Its `start` reads all there is before it returns. @throws TsnetError `not-found` from there without the directory. */
export function manifestSource(options: ManifestOptions): Source {
  return new ManifestDirectory(options);
}

const RESCAN_MS = 5000;
/** How long a file has to be quiet, and how long that may be put off by others. */
const QUIET_MS = 15;
const IMPATIENCE_MS = 200;

class ManifestDirectory implements Source {
  readonly #options: ManifestOptions;
  readonly #folder: Folder;
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
    this.#folder = new Folder(options);
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
    this.#folder.scan(sink);
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
      this.#folder.written(this.#written);
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
      this.#folder.scan(sink, names);
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
}

/** What editors leave beside a file. A name that begins with two dots is how a volume of a config map is swapped. */
function isNoise(name: string): boolean {
  return (name.startsWith(".") && !name.startsWith("..")) || name.endsWith("~") || name.endsWith(".tmp");
}
