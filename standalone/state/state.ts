/**
 * What runs, as files: one a network and one a container, for every project of the host, in /run/tsnet, which ends
 * with the boot. Each is written before what it tells of is made and removed after that is gone, so that another
 * process can finish or undo what one that was killed began.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { removeIfEmpty } from "../../lib/sys/executable.ts";
import {
  type FileLock,
  lockFile,
  makeDirectory,
  namesIn,
  readIfThere,
  removeFile,
  replaceFile,
} from "../../lib/sys/files.ts";
import { removeTree } from "../../lib/sys/trees.ts";
import { type ContainerRecord, type NetworkRecord, parseContainerRecord, parseNetworkRecord } from "./records.ts";
import type { Parser } from "./shape.ts";

/** Where it all lies. */
export const STATE_DIR = "/run/tsnet";

/** Milliseconds to wait for another `up` or `down`, which may take its time to stop containers. */
const LOCK_TIMEOUT = 120_000;

/** The state of this host. */
export class State {
  readonly directory: string;

  constructor(directory = STATE_DIR) {
    this.directory = directory;
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

  /** The networks of all projects. */
  networks(): readonly NetworkRecord[] {
    return namesIn(`${this.directory}/networks`).flatMap((name) => this.#read(`networks/${name}`, parseNetworkRecord));
  }

  putNetwork(network: NetworkRecord): void {
    this.#write(`networks/${network.id}.json`, network);
  }

  removeNetwork({ id }: NetworkRecord): void {
    removeFile(`${this.directory}/networks/${id}.json`);
    removeIfEmpty(`${this.directory}/networks`);
  }

  /** The containers of all projects, running or not. */
  containers(): readonly ContainerRecord[] {
    return namesIn(`${this.directory}/containers`).flatMap((name) =>
      this.#read(`containers/${name}/state.json`, parseContainerRecord),
    );
  }

  /** @throws TsnetError `not-found`, naming those that there are. */
  container(name: string): ContainerRecord {
    const all = this.containers();
    const found = all.find((one) => one.name === name);
    if (found !== undefined) return found;
    const there = all.length === 0 ? "there are none" : `there are ${all.map((one) => one.name).join(", ")}`;
    throw new TsnetError(`no container ${name}: ${there}`, { code: "not-found", op: "find container" });
  }

  putContainer(container: ContainerRecord): void {
    this.#write(`containers/${container.name}/state.json`, container);
  }

  /** Forgets a container with its logs. */
  removeContainer({ name }: ContainerRecord): void {
    // The record goes last: what a kill leaves must still be known.
    const folder = this.folderOf(name);
    for (const entry of namesIn(folder)) if (entry !== "state.json") removeTree(`${folder}/${entry}`);
    removeTree(folder);
    removeIfEmpty(`${this.directory}/containers`);
  }

  /** The folder of a container's log and of what is mounted into it. */
  folderOf(name: string): string {
    return `${this.directory}/containers/${name}`;
  }

  /** A file of the state that is neither a network nor a container, or undefined. */
  note<T>(name: string, parse: Parser<T>): T | undefined {
    return this.#read(`${name}.json`, parse)[0];
  }

  putNote(name: string, value: unknown): void {
    this.#write(`${name}.json`, value);
  }

  removeNote(name: string): void {
    removeFile(`${this.directory}/${name}.json`);
  }

  #write(path: string, value: unknown): void {
    const full = `${this.directory}/${path}`;
    makeDirectory(full.slice(0, full.lastIndexOf("/")), 0o700);
    // Environments hold secrets.
    replaceFile(full, `${JSON.stringify(value, null, 2)}\n`, 0o600);
  }

  #read<T>(path: string, parse: Parser<T>): readonly T[] {
    const full = `${this.directory}/${path}`;
    const text = readIfThere(full);
    if (text === undefined) return [];
    try {
      return [parse(JSON.parse(text), full)];
    } catch (error) {
      if (isTsnetError(error)) throw error;
      throw new TsnetError(`${full}: ${messageOf(error)}`, { code: "decoding", op: "read state", cause: error });
    }
  }
}
