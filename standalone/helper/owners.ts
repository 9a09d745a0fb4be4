/**
 * Whether what `network connect` took in is still there: its process, or the namespace at its path.
 *
 * A namespace whose name was deleted and made again is another one, though it may get the number of the old: so a
 * file that is made anew at the path counts, too.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { isAlive } from "../../lib/sys/process.ts";
import { type DirectoryWatch, identityOf, watchDirectory } from "../../lib/sys/watch.ts";
import type { ContainerRecord } from "../state/records.ts";

interface Followed {
  readonly identity: string | undefined;
  readonly watch: DirectoryWatch | undefined;
  replaced: boolean;
}

export class Owners {
  readonly #followed = new Map<string, Followed>();

  /** Follows the namespaces of those of these that are foreign, and of no others. */
  follow(records: readonly ContainerRecord[]): void {
    const paths = new Set(records.filter(isKnownByPath).map(({ netns }) => netns));
    for (const [path, { watch }] of this.#followed) {
      if (paths.has(path)) continue;
      watch?.close();
      this.#followed.delete(path);
    }
    for (const path of paths) if (!this.#followed.has(path)) this.#followed.set(path, follow(path));
  }

  /** Whether it has gone. */
  isGone(record: ContainerRecord): boolean {
    if (record.network !== "foreign") return false;
    if (record.process !== undefined) return !isAlive(record.process);
    const followed = this.#followed.get(record.netns);
    if (followed === undefined) return false;
    return followed.identity === undefined || followed.replaced || identityOf(record.netns) !== followed.identity;
  }

  close(): void {
    this.follow([]);
  }
}

function isKnownByPath({ network, process }: ContainerRecord): boolean {
  return network === "foreign" && process === undefined;
}

function follow(path: string): Followed {
  const at = path.lastIndexOf("/");
  const followed: Followed = {
    identity: identityOf(path),
    watch: tryWatch(path.slice(0, at) || "/", (name) => {
      if (name === path.slice(at + 1)) followed.replaced = true;
    }),
    replaced: false,
  };
  return followed;
}

function tryWatch(directory: string, changed: (name: string | undefined) => void): DirectoryWatch | undefined {
  try {
    return watchDirectory(directory, changed, () => undefined);
  } catch (error) {
    if (isTsnetError(error)) return undefined;
    throw error;
  }
}
