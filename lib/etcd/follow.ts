/**
 * Follows some keys for ever: lists them, then hears of every change, and begins anew with a list whenever the
 * connection ends, for whatever reason. So it makes no difference whether etcd was away for a moment, has compacted
 * what happened meanwhile, or came back with other data.
 *
 *     list -> listed(...) -> watch -> up(), put(...), deleted(...) -> down(reason) -> pause -> list ...
 *
 * @module
 */
import { Backoff, type BackoffLimits } from "../daemon/backoff.ts";
import type { Clock } from "../daemon/clock.ts";
import { messageOf } from "../errors.ts";
import { type Closable, EtcdClient } from "./client.ts";
import type { EtcdAccess, KeyRange, KeyValue, Listing } from "./types.ts";

/** Is told of the keys. Must not throw. */
export interface Receiver {
  /** All that there is: what was told before and is not in it is gone. `client` can be asked until {@link down}. */
  listed(listing: Listing, client: EtcdClient): void;
  put(entry: KeyValue): void;
  deleted(key: string, revision: number): void;
  /** Every change since is heard of. */
  up(): void;
  /** No change is heard of. Told at each try that failed. */
  down(reason: string): void;
}

export interface FollowOptions {
  /** One endpoint is asked at a time, and the next one after it failed. At least one. */
  readonly endpoints: readonly string[];
  readonly access: Omit<EtcdAccess, "endpoint">;
  readonly ranges: readonly KeyRange[];
  readonly receiver: Receiver;
  readonly clock: Clock;
  readonly backoff?: BackoffLimits;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

const BACKOFF: BackoffLimits = { firstMs: 200, maxMs: 2500 };
/** Ms that a connection lasts at least which counts as a success. */
const STEADY_MS = 5000;

export class Follower {
  readonly #options: FollowOptions;
  readonly #backoff: Backoff;
  #turn: number;
  #client: EtcdClient | undefined;
  #watch: Closable | undefined;
  #stopped = false;
  #callOff = () => {};

  constructor(options: FollowOptions) {
    const { backoff = BACKOFF, random = Math.random, endpoints } = options;
    this.#options = options;
    this.#backoff = new Backoff(backoff, random);
    // A thousand hosts do not all begin with the first of them.
    this.#turn = Math.floor(random() * endpoints.length);
  }

  start(): void {
    this.#connect().catch((error) => this.#failed(messageOf(error)));
  }

  /** Tells nothing more. */
  stop(): void {
    this.#stopped = true;
    this.#callOff();
    this.#disconnect();
  }

  /** Ends a connection that leads nowhere any more, which itself would take long to tell, and makes another. */
  reconnect(reason: string): void {
    if (this.#client !== undefined) this.#failed(reason);
  }

  async #connect(): Promise<void> {
    const { access, endpoints, ranges, receiver } = this.#options;
    const endpoint = endpoints[this.#turn % endpoints.length] ?? "";
    const client = new EtcdClient({ ...access, endpoint });
    this.#client = client;
    const listing = await client.list(ranges);
    if (this.#stopped) return;
    receiver.listed(listing, client);
    this.#watch = client.watch(ranges, listing.revision, {
      created: () => this.#steady(),
      put: (entry) => receiver.put(entry),
      deleted: (key, revision) => receiver.deleted(key, revision),
      ended: (reason) => this.#failed(messageOf(reason)),
    });
  }

  #steady(): void {
    this.#callOff = this.#options.clock.after(STEADY_MS, () => this.#backoff.reset());
    this.#options.receiver.up();
  }

  #failed(reason: string): void {
    this.#disconnect();
    if (this.#stopped) return;
    this.#callOff();
    this.#turn++;
    this.#options.receiver.down(reason);
    this.#callOff = this.#options.clock.after(this.#backoff.next(), () => this.start());
  }

  #disconnect(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#client?.close();
    this.#client = undefined;
  }
}
