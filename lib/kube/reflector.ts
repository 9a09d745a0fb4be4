/**
 * Keeps somebody informed of all objects of one kind, for ever: a list, then watches, whatever happens to the server.
 *
 * {@link Feed} has the requests; here is what to do when one ends. A watch that the server ended goes on at once. A
 * failure is tried again, later and later. Only if the server no longer knows the position (410) is all listed again.
 * Nothing is forgotten meanwhile: whoever is informed keeps what it has until it hears otherwise.
 *
 * @module
 */

import { Backoff, type BackoffLimits, pause } from "../daemon/backoff.ts";
import { isTsnetError, messageOf, TsnetError } from "../errors.ts";
import type { KubeClient } from "./client.ts";
import { type ApiError, isApiError } from "./error.ts";
import { EndUntold, Feed, type FeedTimes, type Receiver, type Resource } from "./feed.ts";
import type { SharedServer } from "./shared.ts";

/** In ms unless said otherwise. */
export interface ReflectorTimes extends FeedTimes {
  readonly backoff: BackoffLimits;
  /** About, before a list that everybody may need at the same moment. */
  readonly relistMs: number;
  /** At least, after a refusal that only an administrator can change. */
  readonly deniedMs: number;
  /** At least, until a kind that the server does not have is asked for again. */
  readonly absentMs: number;
  /** A watch that has told nothing yet counts as good after this. */
  readonly settleMs: number;
}

export const REFLECTOR_TIMES: ReflectorTimes = {
  openMs: 30_000,
  idleMs: 90_000,
  listIdleMs: 15_000,
  watchSeconds: [300, 600],
  backoff: { firstMs: 200, maxMs: 30_000 },
  relistMs: 1_000,
  deniedMs: 15_000,
  absentMs: 300_000,
  settleMs: 1_000,
};

export interface ReflectorOptions {
  readonly client: KubeClient;
  readonly resource: Resource;
  readonly receiver: Receiver;
  readonly shared: SharedServer;
  readonly times?: ReflectorTimes;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

/** Goes on until `signal` is aborted. */
export async function reflect(options: ReflectorOptions, signal: AbortSignal): Promise<void> {
  const reflector = new Reflector(options, signal);
  while (!signal.aborted) await reflector.round();
}

/** After so many watches in a row that the server ended with an error of its own, maybe it is the position. */
const BROKEN_WATCHES = 3;
/** In answer to a WatchList these say nothing about WatchList. */
const OTHER_REASONS: readonly number[] = [401, 403, 404, 410, 429, 503, 504];

class Reflector {
  readonly #options: ReflectorOptions;
  readonly #signal: AbortSignal;
  readonly #times: ReflectorTimes;
  readonly #random: () => number;
  readonly #feed: Feed;
  readonly #failures: Backoff;
  readonly #relists: Backoff;
  /** Whether this round got somewhere. */
  #settled = false;
  #brokenWatches = 0;
  #state: "up" | "down" | undefined;

  constructor(options: ReflectorOptions, signal: AbortSignal) {
    const { client, resource, receiver, times = REFLECTOR_TIMES, random = Math.random } = options;
    this.#options = options;
    this.#signal = signal;
    this.#times = times;
    this.#random = random;
    this.#feed = new Feed({ client, resource, receiver, times, random, signal, heard: () => this.#settle() });
    this.#failures = new Backoff(times.backoff, random);
    this.#relists = new Backoff({ firstMs: times.relistMs, maxMs: times.backoff.maxMs }, random);
  }

  async round(): Promise<void> {
    this.#settled = false;
    try {
      if (this.#feed.listed) await this.#watch();
      else if (this.#options.shared.watchList) await this.#watchList();
      else await this.#feed.list();
    } catch (error) {
      if (!this.#signal.aborted) await this.#failed(error);
    }
  }

  async #watch(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await this.#feed.watch(() => {
        timer = setTimeout(() => this.#settle(), this.#times.settleMs);
      });
    } finally {
      clearTimeout(timer);
      // A list that is followed by a refusal of its version has brought us nowhere.
      if (this.#settled) this.#relists.reset();
    }
    if (!this.#settled) throw new TsnetError("the watch ended at once", { code: "io", op: "watch" });
  }

  async #watchList(): Promise<void> {
    let opened = false;
    try {
      await this.#feed.watchList(() => {
        opened = true;
      });
    } catch (error) {
      if (this.#feed.listed || !speaksAgainstWatchList(error, opened)) throw error;
      this.#options.shared.watchList = false;
    }
  }

  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#brokenWatches = 0;
    this.#failures.reset();
    this.#up();
  }

  #up(): void {
    const { receiver, shared } = this.#options;
    if (this.#state === "down") shared.wake();
    if (this.#state !== "up") receiver.connection("up");
    this.#state = "up";
  }

  #down(reason: string): void {
    if (this.#state !== "down") this.#options.receiver.connection("down", reason);
    this.#state = "down";
  }

  /** Decides how to go on, and waits until then. */
  async #failed(error: unknown): Promise<void> {
    const { resource, shared } = this.#options;
    const known = isApiError(error) ? error : undefined;
    if (known?.status === 410 || known?.versionTooLarge === true) return this.#relist(known);
    if (known?.status === 404 && resource.optional === true) return this.#absent();
    if (known !== undefined && known.status >= 500 && known.status !== 503) this.#brokenWatches++;
    if (this.#brokenWatches >= BROKEN_WATCHES) this.#feed.restart(false);
    const wait = this.#failures.next(known?.retryAfterMs);
    // One that had worked is tried once more before anybody is alarmed: balancers cut what is idle or old.
    if (!this.#settled) this.#down(reasonOf(error, resource));
    if (known?.status === 403) return pause(Math.max(this.#times.deniedMs, wait), this.#signal);
    return shared.wait(wait, this.#signal);
  }

  /** A version that is too large is of another history, or of a server ahead of this one: then any will do. */
  async #relist(error: ApiError): Promise<void> {
    this.#feed.restart(error.versionTooLarge);
    return pause(this.#relists.next(error.retryAfterMs), this.#signal);
  }

  /** The server does not have this kind, as yet. */
  async #absent(): Promise<void> {
    const { receiver } = this.#options;
    receiver.listing();
    receiver.listed();
    this.#feed.restart(true);
    this.#up();
    return pause(this.#times.absentMs * (1 + this.#random()), this.#signal);
  }
}

/** Servers without it refuse it, do not tell the end of the list, or say nothing after it; one on an old etcd fails. */
function speaksAgainstWatchList(error: unknown, opened: boolean): boolean {
  if (isApiError(error)) return !OTHER_REASONS.includes(error.status);
  return error instanceof EndUntold || (opened && isTsnetError(error, "timeout"));
}

function reasonOf(error: unknown, resource: Resource): string {
  const message = messageOf(error);
  if (isApiError(error, 403)) return `${message} (a role with the verbs list and watch on ${resource.name} is needed)`;
  if (isApiError(error, 401)) return `${message} (the token or client certificate is not accepted)`;
  return message;
}
