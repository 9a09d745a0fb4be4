/**
 * Peers from etcd, under flannel's keys: `<prefix>/config`, and `<prefix>/subnets/10.1.2.0-24` for each host, bound to
 * a lease that its host renews.
 *
 *     Follower (what stands there) -> EtcdRecords (what it means) -> the agent
 *                                                                 -> EtcdHolder (our own key) -> etcd
 *
 * @module
 */
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { EtcdClient } from "../../lib/etcd/client.ts";
import { Follower } from "../../lib/etcd/follow.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { valuesOf } from "../parts.ts";
import type { EtcdSettings } from "../settings.ts";
import type { Claim } from "../types.ts";
import { EtcdHolder } from "./etcdholder.ts";
import { EtcdRecords } from "./etcdrecords.ts";
import { releaseLease } from "./etcdrelease.ts";
import type { Source, SourceEvents } from "./source.ts";

export interface EtcdSourceSettings extends EtcdSettings {
  /** Take the lease that this host's address has, though its MAC is another's. */
  readonly replaceLease: boolean;
  /** Ms that hosts have to write their leases again after etcd has lost its data; a minute unless given. */
  readonly returnMs?: number;
}

/** @throws TsnetError `usage` without an endpoint. */
export function etcdSource(
  settings: EtcdSourceSettings,
  options: { readonly log: Log; readonly clock: Clock },
): Source {
  if (settings.endpoints.length === 0) throw new TsnetError("no endpoint of etcd is given", { code: "usage" });
  return new EtcdSource(settings, options);
}

class EtcdSource implements Source {
  readonly name: string;
  readonly #settings: EtcdSourceSettings;
  readonly #log: Log;
  readonly #clock: Clock;
  #claim: Claim | undefined;
  #holder: EtcdHolder | undefined;
  #records: EtcdRecords | undefined;
  #follower: Follower | undefined;
  #connection = "";

  constructor(settings: EtcdSourceSettings, { log, clock }: { readonly log: Log; readonly clock: Clock }) {
    this.name = `etcd at ${settings.endpoints.join(", ")}`;
    this.#settings = settings;
    this.#log = log;
    this.#clock = clock;
  }

  start(events: SourceEvents): void {
    const { endpoints, prefix, returnMs } = this.#settings;
    const [log, clock] = [this.#log, this.#clock];
    const forgotten = () => this.#holder?.look();
    const times = returnMs === undefined ? {} : { returnMs };
    const records = new EtcdRecords({ prefix, events, log, clock, forgotten, ...times });
    const holder = new EtcdHolder({
      ...this.#settings,
      records,
      own: (answer) => events.own(answer),
      log,
      clock,
    });
    this.#holder = holder;
    this.#records = records;
    if (this.#claim !== undefined) holder.claim(this.#claim);
    this.#follower = new Follower({
      endpoints,
      access: this.#settings,
      ranges: records.ranges,
      clock,
      receiver: {
        listed: (listing, client) => {
          records.listed(listing);
          holder.connected(client);
        },
        put: (entry) => {
          records.put(entry);
          holder.changed(entry.key);
        },
        deleted: (key, revision) => {
          records.deleted(key, revision);
          holder.changed(key);
        },
        up: () => this.#turned(events, undefined),
        down: (reason) => {
          holder.connected(undefined);
          this.#turned(events, reason);
        },
      },
    });
    this.#follower.start();
  }

  claim(claim: Claim): void {
    const moved = this.#claim !== undefined && !sameAddresses(this.#claim, claim);
    this.#claim = claim;
    this.#holder?.claim(claim);
    if (moved) this.#follower?.reconnect("this host's address has changed");
  }

  /** Nobody looks for it in etcd. */
  ready(): void {}

  stop(): Promise<void> {
    this.#follower?.stop();
    this.#holder?.stop();
    this.#records?.stop();
    this.#follower = undefined;
    this.#holder = undefined;
    return Promise.resolve();
  }

  /** @throws TsnetError if no endpoint answers. */
  async release(claim: Claim): Promise<void> {
    this.#holder?.stop();
    const failures: string[] = [];
    for (const endpoint of this.#settings.endpoints) {
      let client: EtcdClient | undefined;
      try {
        client = new EtcdClient({ ...this.#settings, endpoint });
        await releaseLease(client, this.#settings.prefix, claim);
        return;
      } catch (error) {
        failures.push(messageOf(error));
      } finally {
        client?.close();
      }
    }
    throw new TsnetError(`this host's lease is still there: ${failures.join("; ")}`, { code: "io" });
  }

  #turned(events: SourceEvents, reason: string | undefined): void {
    const connection = reason ?? "up";
    if (connection === this.#connection) return;
    this.#connection = connection;
    events.connection(reason === undefined, reason);
  }
}

function sameAddresses(one: Claim, other: Claim): boolean {
  const texts = [one, other].map(({ parts }) => valuesOf(parts).map(({ address }) => formatAddress(address)));
  return String(texts[0]) === String(texts[1]);
}
