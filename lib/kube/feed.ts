/**
 * Reads what there is of one kind, and what becomes of it, from where it left off: the requests of a reflector.
 *
 * A list comes as a watch that begins with what is there (WatchList), or as a list from the server's cache
 * (resourceVersion 0, later the newest that we have seen, never a read of the database). A watch goes on from the
 * version of the list or of the last event; bookmarks keep that from growing old where nothing happens.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { KubeClient } from "./client.ts";
import { errorOfEvent } from "./error.ts";
import { fieldsOf, textOf } from "./fields.ts";
import { LineSplitter, ListSplitter } from "./split.ts";

/** What to watch. */
export interface Resource {
  /** As RBAC calls it, `endpointslices.discovery.k8s.io`. */
  readonly name: string;
  /** Of the list, `/api/v1/services`. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** A server that does not have it (404) is as good as one that has none. */
  readonly optional?: boolean;
}

/** Is told of the objects, parsed but as they came. Must not throw. */
export interface Receiver {
  /** A list begins: what is not told of before {@link listed} is gone. */
  listing(): void;
  /** It is there, or has changed. */
  object(raw: unknown): void;
  /** It is gone, or no longer matches the selectors. */
  deleted(raw: unknown): void;
  /** Something that is no object came in its place. */
  malformed(text: string, reason: string): void;
  /** The list is complete. */
  listed(): void;
  /** Whether changes are heard of at the moment, when that changes; with the reason if not. */
  connection(state: "up" | "down", reason?: string): void;
}

/** In ms unless said otherwise. */
export interface FeedTimes {
  /** Until an answer begins, and between pieces of a list. */
  readonly openMs: number;
  /** Between events or bookmarks of a watch: servers send a bookmark each minute. */
  readonly idleMs: number;
  /** The same while a watch tells what is there. */
  readonly listIdleMs: number;
  /** How long the server is asked to keep a watch, in seconds: between these two. */
  readonly watchSeconds: readonly [number, number];
}

export interface FeedOptions {
  readonly client: KubeClient;
  readonly resource: Resource;
  readonly receiver: Receiver;
  readonly times: FeedTimes;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** A list is complete, or a watch has told something. */
  readonly heard: () => void;
}

/** A server that knows nothing of WatchList answers as well, but does not tell where the first objects end. */
export class EndUntold extends TsnetError {
  constructor() {
    super("the server does not tell where the first objects end", { code: "unsupported", op: "watch" });
  }
}

export class Feed {
  readonly #options: FeedOptions;
  /** The newest that we have seen; undefined: any is new enough. */
  #version: string | undefined;
  #listed = false;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Whether all has been told of, up to the version that a watch can go on from. */
  get listed(): boolean {
    return this.#listed;
  }

  /** All has to be listed again; if `anew`, from any version, since the server does not know the one that we have seen. */
  restart(anew: boolean): void {
    this.#listed = false;
    if (anew) this.#version = undefined;
  }

  /** Lists from the server's cache. @throws what {@link KubeClient.stream} does; `decoding`. */
  async list(): Promise<void> {
    const { client, receiver, signal, times } = this.#options;
    const splitter = new ListSplitter((text) => this.#entry(text));
    const path = this.#path({ resourceVersion: this.#version ?? "0" });
    receiver.listing();
    const idleMs = () => times.openMs;
    await client.stream(path, (chunk) => splitter.push(chunk), { signal, openMs: times.openMs, idleMs });
    this.#complete(versionOf(splitter.end()));
  }

  /** Lists and goes on with the watch, in one answer. @throws also {@link EndUntold}. */
  async watchList(opened: () => void): Promise<void> {
    this.#options.receiver.listing();
    await this.#follow({ sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" }, opened);
    if (!this.#listed) throw new TsnetError("the watch ended before all was told", { code: "io", op: "watch" });
  }

  /** Goes on from the last version until the server ends it. @throws also ApiError for an ERROR event. */
  async watch(opened: () => void): Promise<void> {
    await this.#follow({}, opened);
  }

  async #follow(query: Readonly<Record<string, string>>, opened: () => void): Promise<void> {
    const { client, random, signal, times } = this.#options;
    const [least, most] = times.watchSeconds;
    const path = this.#path({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: this.#version ?? "0",
      timeoutSeconds: String(Math.round(least + random() * (most - least))),
      ...query,
    });
    const lines = new LineSplitter((text) => this.#event(text));
    await client.stream(path, (chunk) => lines.push(chunk), {
      signal,
      openMs: times.openMs,
      idleMs: () => (this.#listed ? times.idleMs : times.listIdleMs),
      opened,
    });
  }

  #entry(text: string): void {
    const { receiver } = this.#options;
    const raw = parse(text);
    if (raw === undefined) receiver.malformed(text, "is no JSON");
    else receiver.object(raw);
  }

  #event(text: string): void {
    const { heard, receiver, resource } = this.#options;
    const { type, object } = fieldsOf(parse(text));
    if (type === "ADDED" || type === "MODIFIED") receiver.object(object);
    else if (type === "DELETED") receiver.deleted(object);
    else if (type === "ERROR") throw errorOfEvent(`the watch of ${resource.name}`, object);
    else if (type !== "BOOKMARK") receiver.malformed(text, "is no event of a watch");
    else if (!this.#listed) this.#endOfList(object);
    // The first objects come by name, not by version.
    if (!this.#listed) return;
    this.#version = versionOf(object) ?? this.#version;
    heard();
  }

  #endOfList(bookmark: unknown): void {
    const annotations = fieldsOf(fieldsOf(fieldsOf(bookmark).metadata).annotations);
    if (annotations["k8s.io/initial-events-end"] !== "true") throw new EndUntold();
    this.#complete(versionOf(bookmark));
  }

  #complete(version: string | undefined): void {
    if (version === undefined)
      throw new TsnetError("the list has no resourceVersion", { code: "decoding", op: "list" });
    this.#version = version;
    this.#listed = true;
    this.#options.receiver.listed();
    this.#options.heard();
  }

  #path(query: Readonly<Record<string, string>>): string {
    const { path, labelSelector, fieldSelector } = this.#options.resource;
    const selectors = { ...(labelSelector && { labelSelector }), ...(fieldSelector && { fieldSelector }) };
    return `${path}?${new URLSearchParams({ ...query, ...selectors })}`;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function versionOf(object: unknown): string | undefined {
  return textOf(fieldsOf(fieldsOf(object).metadata).resourceVersion);
}
