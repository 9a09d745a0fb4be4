/**
 * What runs, as files: one a network and one a container, for every project of the host, in /run/tsnet, which ends
 * with the boot. Each is written before what it tells of is made and removed after that is gone, so that another
 * process can finish or undo what one that was killed began. Networks made by command are kept in /var/lib/tsnet as
 * well, and are there again after a boot.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { suggest } from "../../lib/suggest.ts";
import { removeIfEmpty } from "../../lib/sys/executable.ts";
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
  setModifiedAt,
} from "../../lib/sys/files.ts";
import { removeTree } from "../../lib/sys/trees.ts";
import {
  type ContainerRecord,
  type ExitNote,
  type NetworkRecord,
  parseContainerRecord,
  parseExitNote,
  parseNetworkRecord,
} from "./records.ts";
import type { Parser } from "./shape.ts";

/** Where it all lies. */
export const STATE_DIR = "/run/tsnet";
/** Where networks lie that stay over a boot. */
const KEPT_DIR = "/var/lib/tsnet/networks";

/** The file of a container's {@link ExitNote}. */
const EXIT = "exit.json";

/** Milliseconds to wait for another `up` or `down`, which may take its time to stop containers. */
const LOCK_TIMEOUT = 120_000;

/** The state of this host. */
export class State {
  readonly directory: string;
  readonly #kept: string;

  constructor(directory = STATE_DIR, kept = KEPT_DIR) {
    this.directory = directory;
    this.#kept = kept;
  }

  /** Keeps every other `up` and `down` of the host away until released. @throws TsnetError `busy`. */
  lock(): FileLock {
    makeDirectory(this.directory);
    try {
      return lockFile(`${this.directory}/lock`, LOCK_TIMEOUT);
    } catch (error) {
      if (!isTsnetError(error, "busy")) throw error;
      throw new TsnetError("another tsnet up or down is at work: try again when it is done", {
        code: "busy",
        op: "lock",
        cause: error,
      });
    }
  }

  /** The lock of {@link State.lock}, if it is free. */
  tryLock(): FileLock | undefined {
    makeDirectory(this.directory);
    try {
      return lockFile(`${this.directory}/lock`, 0);
    } catch (error) {
      if (isTsnetError(error, "busy")) return undefined;
      throw error;
    }
  }

  /** The networks of all projects, those too that no process has looked after since the boot. */
  networks(): readonly NetworkRecord[] {
    return [...this.networksUp(), ...this.dormantNetworks()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The networks that are there, or are being made. */
  networksUp(): readonly NetworkRecord[] {
    return this.#networksIn(this.#running);
  }

  /** The kept networks that have not been made since the boot. */
  dormantNetworks(): readonly NetworkRecord[] {
    const kept = namesIn(this.#kept);
    if (kept.length === 0) return [];
    const running = new Set(namesIn(this.#running));
    return this.#networksIn(
      this.#kept,
      kept.filter((name) => !running.has(name)),
    );
  }

  putNetwork(network: NetworkRecord): void {
    const name = `${network.id}.json`;
    this.#write(`${this.#running}/${name}`, network);
    if (exists(`${this.#kept}/${name}`)) this.#write(`${this.#kept}/${name}`, network);
  }

  /** Has the network stay over a boot. */
  keepNetwork(network: NetworkRecord): void {
    this.#write(`${this.#kept}/${network.id}.json`, network);
  }

  /** Whether the network stays over a boot: the last that making one by command sees to. */
  isKept({ id }: NetworkRecord): boolean {
    return exists(`${this.#kept}/${id}.json`);
  }

  /** The network is not made any more; one that is kept will be again. */
  removeNetwork({ id }: NetworkRecord): void {
    removeFile(`${this.#running}/${id}.json`);
    removeFolder(this.#running);
  }

  /** The network does not stay any longer. */
  forgetNetwork({ id }: NetworkRecord): void {
    removeFile(`${this.#kept}/${id}.json`);
    removeFolder(this.#kept);
    removeIfEmpty(this.#kept.slice(0, this.#kept.lastIndexOf("/")));
  }

  /** Whether it tells of no container, and of no network that is up. */
  isEmpty(): boolean {
    return this.networksUp().length === 0 && this.containers().length === 0;
  }

  /** The containers of all projects, running or not. */
  containers(): readonly ContainerRecord[] {
    return this.containerNames().flatMap((name) => this.containerIfThere(name) ?? []);
  }

  /** What may be names of containers. */
  containerNames(): readonly string[] {
    return namesIn(`${this.directory}/containers`);
  }

  /** A container by its name, or undefined. */
  containerIfThere(name: string): ContainerRecord | undefined {
    const [record] = this.#read(this.recordOf(name), parseContainerRecord, {
      forget: this.folderOf(name),
      what: `container ${name}`,
    });
    return record === undefined ? undefined : this.#withExit(record);
  }

  /** The path of a container's record, which is replaced whenever it changes. */
  recordOf(name: string): string {
    return `${this.folderOf(name)}/state.json`;
  }

  /** @throws TsnetError `not-found`, naming those that there are. */
  container(name: string): ContainerRecord {
    const all = this.containers();
    const found = all.find((one) => one.name === name);
    if (found !== undefined) return found;
    const there = all.length === 0 ? "there are none" : `there are ${all.map((one) => one.name).join(", ")}`;
    const meant = suggest(
      name,
      all.map((one) => one.name),
    );
    const guess = meant === undefined ? "" : ` (did you mean ${meant}?)`;
    throw new TsnetError(`no container ${name}${guess}: ${there}`, { code: "not-found", op: "find container" });
  }

  putContainer(container: ContainerRecord): void {
    this.#write(this.recordOf(container.name), container);
    // Who watches the folder of folders is not told of what changes in one of them.
    setModifiedAt(`${this.directory}/containers`, Date.now());
  }

  /**
   * Notes how a container's process ended. In a file of its own: whoever sees it end need not wait for the lock, and
   * whoever holds that writes nothing over it.
   */
  putExit(name: string, exit: ExitNote): void {
    const folder = this.folderOf(name);
    // It may have been removed meanwhile, also while we write.
    if (!exists(this.recordOf(name))) return;
    this.#write(`${folder}/${EXIT}`, exit);
    if (!exists(this.recordOf(name))) {
      removeFile(`${folder}/${EXIT}`);
      for (const path of [folder, `${this.directory}/containers`]) removeIfEmpty(path);
      return;
    }
    setModifiedAt(`${this.directory}/containers`, Date.now());
  }

  /** Forgets a container with its logs. */
  removeContainer({ name }: ContainerRecord): void {
    // The record goes last: what a kill leaves must still be known.
    const folder = this.folderOf(name);
    for (const entry of namesIn(folder)) if (entry !== "state.json") removeTree(`${folder}/${entry}`);
    removeTree(folder);
    removeIfEmpty(`${this.directory}/containers`);
  }

  /** Removes the folders of containers that are not noted: whoever began one was killed over its first note. The caller holds the lock. */
  removeUnnoted(): void {
    for (const name of this.containerNames()) if (!exists(this.recordOf(name))) removeTree(this.folderOf(name));
    removeIfEmpty(`${this.directory}/containers`);
  }

  /** The folder of a container's log and of what is mounted into it. */
  folderOf(name: string): string {
    return `${this.directory}/containers/${name}`;
  }

  /** A file of the state that is neither a network nor a container, or undefined. */
  note<T>(name: string, parse: Parser<T>): T | undefined {
    return this.#read(`${this.directory}/${name}.json`, parse)[0];
  }

  putNote(name: string, value: unknown): void {
    this.#write(`${this.directory}/${name}.json`, value);
  }

  removeNote(name: string): void {
    removeFile(`${this.directory}/${name}.json`);
  }

  get #running(): string {
    return `${this.directory}/networks`;
  }

  #networksIn(folder: string, names = namesIn(folder)): readonly NetworkRecord[] {
    return names
      .filter((name) => name.endsWith(".json"))
      .flatMap((name) => {
        const path = `${folder}/${name}`;
        return this.#read(path, parseNetworkRecord, { what: `network ${name.replace(/\.json$/, "")}`, forget: path });
      });
  }

  #withExit(record: ContainerRecord): ContainerRecord {
    const { process } = record;
    const [exit] = process === undefined ? [] : this.#read(`${this.folderOf(record.name)}/${EXIT}`, parseExitNote);
    if (exit === undefined || exit.pid !== process?.pid || exit.startTime !== process.startTime) return record;
    return { ...record, exit: { code: exit.code, at: exit.at } };
  }

  #write(path: string, value: unknown): void {
    makeDirectory(path.slice(0, path.lastIndexOf("/")), 0o700);
    // Environments hold secrets.
    replaceFile(path, `${JSON.stringify(value, null, 2)}\n`, 0o600);
  }

  /** `damaged` is what to say of a file that cannot be read. */
  #read<T>(path: string, parse: Parser<T>, damaged: Damaged = { what: "it", forget: path }): readonly T[] {
    const text = readIfThere(path);
    if (text === undefined) return [];
    try {
      return [parse(JSON.parse(text), path)];
    } catch (error) {
      const { what, forget } = damaged;
      const way = `rm -r ${forget} forgets ${what}, and tsnet up makes it anew`;
      throw new TsnetError(`${messageOf(error).startsWith(path) ? "" : `${path}: `}${messageOf(error)}: ${way}`, {
        code: "decoding",
        op: "read state",
        cause: error,
      });
    }
  }
}

interface Damaged {
  readonly what: string;
  /** What to remove. */
  readonly forget: string;
}

/** Removes a folder of networks if none is left in it. Who writes there holds the lock: a temporary file is from a kill. */
function removeFolder(folder: string): void {
  for (const name of namesIn(folder)) if (isTemporary(name)) removeFile(`${folder}/${name}`);
  removeIfEmpty(folder);
}
