/**
 * What is in the packet filter because of us, on disk: one file for each part of each attachment.
 *
 * A file is written before the kernel is changed and removed after the kernel was cleaned, so that whatever dies
 * half-way is still found. It lets DEL work without the container's namespace or an earlier result, GC go by
 * network, and a reload put everything back after somebody flushed the rules. It lies in /run, which ends with the
 * boot, as the rules do.
 *
 * @module
 */
import { hasErrno, isTsnetError, TsnetError } from "../errors.ts";
import {
  exists,
  type FileLock,
  isTemporary,
  lockFile,
  makeDirectory,
  namesIn,
  readIfThere,
  removeFile,
  replaceFile,
  unsortedNamesIn,
} from "../sys/files.ts";
import {
  type Entry,
  type EntryName,
  entryFile,
  formatEntry,
  KEEPERS,
  type KeeperName,
  parseEntry,
  parseEntryFile,
  tagOf,
} from "./record.ts";
import type { Attachment, Part } from "./types.ts";

/** Where the state lies unless a test says otherwise. */
export const STATE_ROOT = "/run/tsnet/firewall";

/** Whether a part of an attachment is recorded, in any engine. Loads nothing and needs no lock. */
export function isRecorded(attachment: Attachment, part: Part, root = STATE_ROOT): boolean {
  return recordedWith(attachment, part, root).length > 0;
}

/** Where a part of an attachment is recorded. Loads nothing and needs no lock. */
export function recordedWith(attachment: Attachment, part: Part, root = STATE_ROOT): readonly KeeperName[] {
  return recordsOf(attachment, root).flatMap((name) => (name.part === part ? [name.engine] : []));
}

/** All that is recorded of an attachment. Loads nothing and needs no lock. */
export function recordsOf(attachment: Attachment, root = STATE_ROOT): readonly EntryName[] {
  const tag = tagOf(attachment);
  return KEEPERS.flatMap((engine) =>
    unsortedNamesIn(`${root}/${engine}`)
      .filter((file) => file.startsWith(tag))
      .flatMap((file) => parseEntryFile(engine, file) ?? []),
  );
}

/** The state's directory. All but `lock` is called with the lock held. */
export class State {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Waits for the lock without blocking, since the holder may be a call in this very process.
   *
   * @throws TsnetError `busy` after {@link LOCK_TIMEOUT_MS}.
   */
  async lock(): Promise<FileLock> {
    const deadline = performance.now() + LOCK_TIMEOUT_MS;
    for (let tries = 1; ; tries++) {
      const lock = this.tryLock();
      if (lock !== undefined) return lock;
      if (performance.now() > deadline) {
        throw new TsnetError(`${this.#root}/lock is held by another process for ${LOCK_TIMEOUT_MS} ms: try again`, {
          code: "busy",
          op: "lock",
        });
      }
      // Where many wait one of them looks soon enough, and those who look take the processor from the holder.
      await Bun.sleep(Math.min(tries, SELDOM_MS));
    }
  }

  /** The lock, if it is free. */
  tryLock(): FileLock | undefined {
    try {
      return this.#openLock();
    } catch (error) {
      if (isTsnetError(error, "busy")) return undefined;
      throw error;
    }
  }

  /** The names of all entries of all engines, or of those files that `wanted` takes. Needs no lock to be asked, only to be relied on. */
  names(wanted: (file: string) => boolean = () => true): readonly EntryName[] {
    return this.#list((_engine, file) => wanted(file));
  }

  /**
   * All names, and the end of what a killed call was about to write: only the holder of the lock writes, so none is of
   * a living one.
   */
  namesAlone(): readonly EntryName[] {
    for (const file of namesIn(this.#root)) if (isTemporary(file)) removeFile(`${this.#root}/${file}`);
    return this.#list((engine, file) => {
      if (!isTemporary(file)) return true;
      removeFile(`${this.#directory(engine)}/${file}`);
      return false;
    });
  }

  #list(takes: (engine: KeeperName, file: string) => boolean): readonly EntryName[] {
    const names: EntryName[] = [];
    for (const engine of KEEPERS) {
      for (const file of unsortedNamesIn(this.#directory(engine))) {
        const name = takes(engine, file) ? parseEntryFile(engine, file) : undefined;
        if (name !== undefined) names.push(name);
      }
    }
    return names;
  }

  /** The entries behind `names`; one that cannot be read is left out, and its rules are then found by their tag. */
  read(names: readonly EntryName[]): readonly Entry[] {
    const entries: Entry[] = [];
    for (const path of names.map(({ engine, file }) => `${this.#directory(engine)}/${file}`).sort()) {
      const text = readIfThere(path);
      if (text === undefined) continue;
      try {
        entries.push(parseEntry(text, path));
      } catch (error) {
        if (!isTsnetError(error, "decoding")) throw error;
      }
    }
    return entries;
  }

  write(entry: Entry): void {
    const directory = this.#directory(entry.engine);
    makeDirectory(directory);
    replaceFile(`${directory}/${entryFile(entry)}`, formatEntry(entry), 0o600);
  }

  remove(name: Pick<EntryName, "engine" | "file">): void {
    removeFile(`${this.#directory(name.engine)}/${name.file}`);
  }

  /**
   * Whether the engine also holds rules of ours that no file tells of, because /run/tsnet was wiped under running
   * containers: then the last known entry is not the last one.
   */
  hasOrphans(engine: KeeperName): boolean {
    return exists(this.#orphans(engine));
  }

  setOrphans(engine: KeeperName, there: boolean): void {
    if (!there) removeFile(this.#orphans(engine));
    else if (!this.hasOrphans(engine)) {
      makeDirectory(this.#directory(engine));
      replaceFile(this.#orphans(engine), "");
    }
  }

  /** Whether our place in the engine also holds rules of the administrator's, which stay when ours are gone. */
  hasAdminRules(engine: KeeperName): boolean {
    return exists(this.#adminRules(engine));
  }

  setAdminRules(engine: KeeperName, there: boolean): void {
    if (!there) removeFile(this.#adminRules(engine));
    else if (!this.hasAdminRules(engine)) {
      makeDirectory(this.#directory(engine));
      replaceFile(this.#adminRules(engine), "");
    }
  }

  /** Sysctls that we changed and what they were before, by key. */
  sysctls(): ReadonlyMap<string, string> {
    const text = readIfThere(this.#sysctls) ?? "";
    return new Map(
      text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]),
    );
  }

  setSysctls(before: ReadonlyMap<string, string>): void {
    if (before.size === 0) removeFile(this.#sysctls);
    else replaceFile(this.#sysctls, [...before].map(([key, value]) => `${key} ${value}\n`).join(""));
  }

  #openLock(): FileLock {
    try {
      return lockFile(`${this.#root}/lock`, 0);
    } catch (error) {
      if (!hasErrno(error, "ENOENT")) throw error;
      makeDirectory(this.#root);
      return lockFile(`${this.#root}/lock`, 0);
    }
  }

  #directory(engine: KeeperName): string {
    return `${this.#root}/${engine}`;
  }

  #orphans(engine: KeeperName): string {
    return `${this.#directory(engine)}/orphans`;
  }

  #adminRules(engine: KeeperName): string {
    return `${this.#directory(engine)}/admin-rules`;
  }

  get #sysctls(): string {
    return `${this.#root}/sysctls`;
  }
}

/** Between two looks at a lock that is held, at most. */
const SELDOM_MS = 6;
/** Milliseconds; the holder waits at most 5 s for the xtables lock, and others may be before us. */
const LOCK_TIMEOUT_MS = 30_000;
