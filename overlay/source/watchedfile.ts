/**
 * A file whose text is told whenever it has changed: our file of hosts, the network config that a ConfigMap mounts.
 *
 * Changes are heard of and, since that may fail, looked for as well; a volume of a ConfigMap is swapped as a whole by a
 * link, which is heard as an entry whose name begins with two dots. The file is read when it has been quiet for a
 * moment, so that one that is written in pieces is not seen half. One that is away says nothing.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import type { Clock } from "../../lib/daemon/clock.ts";
import { messageOf } from "../../lib/errors.ts";
import { readIfThere } from "../../lib/sys/files.ts";
import { type DirectoryWatch, identityOf, watchDirectory } from "../../lib/sys/watch.ts";

export interface WatchedFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** A text that was not there before. Must not throw. */
  readonly take: (text: string) => void;
  /** What keeps us from reading it, whenever that changes; undefined: nothing. */
  readonly trouble: (reason: string | undefined) => void;
}

/** ms. */
const RESCAN_MS = 5000;
const QUIET_MS = 30;

export class WatchedFile {
  readonly #options: WatchedFileOptions;
  readonly #directory: string;
  #watch: DirectoryWatch | undefined;
  #identity: string | undefined;
  #text: string | undefined;
  #trouble: string | undefined | null = null;
  #quiet = () => {};
  #rescan = () => {};

  constructor(options: WatchedFileOptions) {
    this.#options = options;
    this.#directory = dirname(options.path);
  }

  start(): void {
    // First the watch, then the look: nothing happens in between that is not seen.
    this.#listen();
    this.#look();
    this.#again();
  }

  close(): void {
    this.#quiet();
    this.#rescan();
    this.#watch?.close();
    this.#watch = undefined;
  }

  #again(): void {
    this.#rescan = this.#options.clock.after(RESCAN_MS, () => {
      if (this.#watch === undefined || identityOf(this.#directory) !== this.#identity) this.#listen();
      this.#look();
      this.#again();
    });
  }

  /** Also after the directory itself was replaced. Where it cannot be watched the next look sees it. */
  #listen(): void {
    this.#watch?.close();
    this.#watch = undefined;
    try {
      this.#identity = identityOf(this.#directory);
      this.#watch = watchDirectory(
        this.#directory,
        (name) => this.#heard(name),
        () => {
          this.#watch = undefined;
        },
      );
    } catch {
      // The look that follows tells what is wrong, if anything is.
    }
  }

  #heard(name: string | undefined): void {
    if (name !== undefined && name !== basename(this.#options.path) && !name.startsWith("..")) return;
    this.#quiet();
    this.#quiet = this.#options.clock.after(QUIET_MS, () => this.#look());
  }

  #look(): void {
    const { path, take } = this.#options;
    try {
      const text = readIfThere(path);
      this.#tell(text === undefined ? `${path} is not there` : undefined);
      if (text === undefined || text === this.#text) return;
      this.#text = text;
      take(text);
    } catch (error) {
      this.#tell(messageOf(error));
    }
  }

  #tell(trouble: string | undefined): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#options.trouble(trouble);
  }
}
