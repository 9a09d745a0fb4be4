/**
 * One connection to one etcd: reads and writes with a deadline each, and watches.
 *
 * On etcd3's plain calls. Its own watches and leases go on by themselves over whatever happens to the connection, and
 * do not say when what they go on with is another store, emptied and filled again; ours end, and are begun anew from a
 * list.
 *
 * @module
 */
import { Etcd3, type ICallable, type IDuplexStream, type IWatchRequest, type IWatchResponse, WatchClient } from "etcd3";
import { etcdError } from "./errors.ts";
import { deadline, optionsFor } from "./options.ts";
import { compareOf, entryOf, rangeOf, requestOf } from "./requests.ts";
import type { Condition, EtcdAccess, KeyRange, Listing, Operation, WatchListener } from "./types.ts";

export interface Closable {
  close(): void;
}

/** What every method throws is a TsnetError: `timeout`, `permission`, `io`. */
export class EtcdClient {
  readonly #client: Client;
  /** For messages: `etcd at https://10.0.0.1:2379`. */
  readonly name: string;

  /** Connects as soon as something is asked. @throws TsnetError `not-found`, `io` or `invalid` for files and URL. */
  constructor(access: EtcdAccess) {
    this.name = `etcd at ${access.endpoint}`;
    this.#client = new Client(optionsFor(access));
  }

  /** All keys of the ranges, at one moment. */
  async list(ranges: readonly KeyRange[]): Promise<Listing> {
    const success = ranges.map((range) => ({ request_range: rangeOf(range) }));
    const answer = await this.#ask(() => this.#client.kv.txn({ success }, deadline()));
    return {
      revision: Number(answer.header.revision),
      lists: answer.responses.map(({ response_range }) => (response_range?.kvs ?? []).map(entryOf)),
    };
  }

  /** Does all of it, if all conditions hold, or nothing; returns the store's revision then, or undefined. */
  async commit(conditions: readonly Condition[], operations: readonly Operation[]): Promise<number | undefined> {
    const request = { compare: conditions.map(compareOf), success: operations.map(requestOf) };
    const answer = await this.#ask(() => this.#client.kv.txn(request, deadline()));
    return answer.succeeded ? Number(answer.header.revision) : undefined;
  }

  /** Begins a lease of so many seconds; etcd may make it longer. Returns its id. */
  async grant(seconds: number): Promise<{ readonly id: string; readonly seconds: number }> {
    const { ID, TTL } = await this.#ask(() => this.#client.leaseClient.leaseGrant({ TTL: seconds }, deadline()));
    return { id: ID, seconds: Number(TTL) };
  }

  /** Lets a lease begin again. Returns the seconds that it was granted; undefined if it has ended. */
  async renew(id: string): Promise<number | undefined> {
    const seconds = await this.#ask(async () => {
      const stream = await this.#client.leaseClient.leaseKeepAlive(deadline());
      return await new Promise<number>((resolve, reject) => {
        stream.on("error", reject);
        stream.on("end", () => reject(new Error("the connection ended")));
        stream.on("data", ({ TTL }) => {
          resolve(Number(TTL));
          stream.end();
        });
        stream.write({ ID: id });
      });
    });
    return seconds > 0 ? seconds : undefined;
  }

  /** Tells of all changes in the ranges after `revision`, in their order, until it is closed or ends. */
  watch(ranges: readonly KeyRange[], revision: number, listener: WatchListener): Closable {
    let stream: IDuplexStream<IWatchRequest, IWatchResponse> | undefined;
    let open = true;
    const close = () => {
      open = false;
      stream?.cancel();
    };
    const end = (error: unknown) => {
      if (!open) return;
      close();
      listener.ended(etcdError(error, this.name));
    };
    let missing = ranges.length;
    const take = (answer: IWatchResponse) => {
      if (!open) return;
      if (answer.canceled) return end(new Error(reasonOf(answer)));
      if (answer.created && --missing === 0) listener.created();
      tell(answer, listener);
    };
    const begin = async () => {
      stream = await this.#client.leaderWatch.watch();
      stream.on("data", take);
      stream.on("error", end);
      stream.on("end", () => end(new Error("the connection ended")));
      if (!open) return stream.cancel();
      for (const range of ranges) {
        stream.write({ create_request: { ...rangeOf(range), start_revision: String(revision + 1) } });
      }
    };
    begin().catch(end);
    return { close };
  }

  close(): void {
    this.#client.close();
  }

  async #ask<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw etcdError(error, this.name);
    }
  }
}

/** etcd3's client, with watches that end when their member loses sight of the others, and so hears of nothing. */
class Client extends Etcd3 {
  readonly leaderWatch = new WatchClient(wantingLeader(this.pool));
}

function wantingLeader<T>(pool: ICallable<T>): ICallable<T> {
  return {
    callOptionsFactory: pool.callOptionsFactory,
    exec: (...call) => pool.exec(...call),
    markFailed: (...failure) => pool.markFailed(...failure),
    withConnection: (service, run) =>
      pool.withConnection(service, (connection) => {
        connection.metadata.set("hasleader", "true");
        return run(connection);
      }),
  };
}

function tell({ events }: IWatchResponse, listener: WatchListener): void {
  for (const { type, kv } of events) {
    if (type === "Put") listener.put(entryOf(kv));
    else listener.deleted(kv.key.toString(), Number(kv.mod_revision));
  }
}

function reasonOf({ compact_revision, cancel_reason }: IWatchResponse): string {
  if (Number(compact_revision) > 0) return `what came before revision ${compact_revision} has been compacted`;
  return cancel_reason === "" ? "the watch was ended" : cancel_reason;
}
