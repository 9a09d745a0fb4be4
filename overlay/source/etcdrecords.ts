/**
 * What stands in etcd under the network's prefix, as far as we have heard: the network's config, and a key a subnet.
 * Tells the agent what of it has changed.
 *
 * @module
 */
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf, TsnetError } from "../../lib/errors.ts";
import type { KeyRange, KeyValue, Listing } from "../../lib/etcd/types.ts";
import { prefixRange } from "../../lib/etcd/types.ts";
import type { Cidr } from "../../lib/net/cidr.ts";
import { parseNetworkConfig } from "../config/network.ts";
import type { Found } from "../lease/choose.ts";
import { type LeaseRecord, parseLeaseRecord, subnetsIn } from "../lease/lease.ts";
import type { Lease, NetworkConfig, Parts } from "../types.ts";
import type { SourceEvents } from "./source.ts";

/** A subnet's key as it stands there. */
export interface EtcdRecord extends Found, KeyValue {
  /** It stood there, and etcd has lost its data since: its host will write it again if it can. */
  readonly remembered: boolean;
}

export interface RecordsOptions {
  readonly prefix: string;
  readonly events: SourceEvents;
  readonly log: Log;
  readonly clock: Clock;
  /** Ms that hosts have to write their leases again after etcd has lost them. */
  readonly returnMs?: number;
  /** That time is over, and what they had is anybody's. */
  readonly forgotten: () => void;
}

/** Longer than it takes hosts to connect again, much less than a lease lasts. */
const RETURN_MS = 60_000;

interface Kept extends EtcdRecord {
  /** What others were last told that it is: stays while the record cannot be read. */
  readonly told: Lease | undefined;
}

export class EtcdRecords {
  readonly #options: RecordsOptions;
  readonly #configKey: string;
  readonly #subnets: string;
  readonly #records = new Map<string, Kept>();
  /** Why, by key. */
  readonly #unreadable = new Map<string, string>();
  #configText: string | undefined;
  #config: NetworkConfig | undefined;
  #revision = 0;
  #callOff = () => {};

  constructor(options: RecordsOptions) {
    this.#options = options;
    this.#configKey = `${options.prefix}/config`;
    this.#subnets = `${options.prefix}/subnets/`;
  }

  /** What has to be listed and watched: config, then subnets. */
  get ranges(): readonly KeyRange[] {
    return [{ key: this.#configKey }, prefixRange(this.#subnets)];
  }

  /** The last that could be read. */
  get config(): NetworkConfig | undefined {
    return this.#config;
  }

  /** The store's, up to which we have heard of everything. */
  get revision(): number {
    return this.#revision;
  }

  get found(): readonly EtcdRecord[] {
    return [...this.#records.values()];
  }

  keyOf(name: string): string {
    return this.#subnets + name;
  }

  at(key: string): EtcdRecord | undefined {
    return this.#records.get(key);
  }

  /** Tells nothing more. */
  stop(): void {
    this.#callOff();
  }

  /** All that there is. */
  listed({ lists, revision }: Listing): void {
    const [config = [], entries = []] = lists;
    const before = new Map(this.#records);
    const lost =
      revision < this.#revision || entries.some((one) => one.revision < (before.get(one.key)?.revision ?? 0));
    this.#revision = revision;
    this.#records.clear();
    this.#unreadable.clear();
    this.#readConfig(config[0]?.text);
    for (const entry of entries) this.#keep(entry, before.get(entry.key)?.told);
    this.#remember(before.values(), lost);
    const { events } = this.#options;
    events.leases([...this.#records.values()].flatMap(({ told }) => told ?? []));
    for (const [key, reason] of this.#unreadable) events.malformed(key, reason);
  }

  put(entry: KeyValue): void {
    this.#revision = Math.max(this.#revision, entry.revision);
    if (entry.key === this.#configKey) this.#configChanged(entry.text);
    else if (entry.key.startsWith(this.#subnets)) this.#recordChanged(entry);
  }

  deleted(key: string, revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    if (key === this.#configKey) this.#configChanged(undefined);
    const before = this.#records.get(key);
    if (before === undefined || revision < before.revision) return;
    this.#records.delete(key);
    if (this.#unreadable.delete(key) || before.told !== undefined) this.#options.events.gone(key);
  }

  #recordChanged(entry: KeyValue): void {
    const { key } = entry;
    const before = this.#records.get(key);
    // What we write ourselves is known before etcd tells of it, and of what came before.
    if (before !== undefined && entry.revision <= before.revision) return;
    const mended = this.#unreadable.delete(key);
    const { told } = this.#keep(entry, before?.told);
    const { events } = this.#options;
    const reason = this.#unreadable.get(key);
    if (reason !== undefined) events.malformed(key, reason);
    else if (told === undefined && (mended || before?.told !== undefined)) events.gone(key);
    else if (told !== undefined && (mended || entry.text !== before?.text)) events.changed(told);
  }

  #configChanged(text: string | undefined): void {
    const { events } = this.#options;
    if (this.#unreadable.delete(this.#configKey)) events.gone(this.#configKey);
    this.#readConfig(text);
    const reason = this.#unreadable.get(this.#configKey);
    if (reason !== undefined) events.malformed(this.#configKey, reason);
  }

  /**
   * What etcd has lost is not gone: its host goes on, and its containers are reached as before. So is what was not
   * written again when the connection ended once more.
   */
  #remember(before: Iterable<Kept>, lost: boolean): void {
    const missing = [...before].filter((one) => (lost || one.remembered) && !this.#records.has(one.key));
    for (const one of missing) this.#records.set(one.key, { ...one, revision: 0, remembered: true });
    if (!lost || missing.length === 0) return;
    const { log, clock, returnMs = RETURN_MS } = this.#options;
    log.warn("etcd has lost its data: peers stay as they were until their hosts have had time to write it again", {
      peers: missing.length,
      ms: returnMs,
    });
    this.#callOff();
    this.#callOff = clock.after(returnMs, () => this.#forget());
  }

  #forget(): void {
    for (const { key, remembered } of [...this.#records.values()]) if (remembered) this.deleted(key, this.#revision);
    this.#options.forgotten();
  }

  #keep(entry: KeyValue, before: Lease | undefined): Kept {
    const { subnets, record, reason } = read(entry);
    if (reason !== undefined) this.#unreadable.set(entry.key, reason);
    const told = reason === undefined ? record?.lease : before;
    const kept = { ...entry, subnets, record, told, remembered: false };
    this.#records.set(entry.key, kept);
    return kept;
  }

  #readConfig(text: string | undefined): void {
    const { events, log } = this.#options;
    try {
      if (text === undefined) throw noConfig(this.#configKey);
      if (text === this.#configText) return;
      this.#config = parseNetworkConfig(text, this.#configKey, { warn: (line) => log.warn(line) });
    } catch (error) {
      this.#unreadable.set(this.#configKey, messageOf(error));
      return;
    }
    this.#configText = text;
    events.network(this.#config);
  }
}

function noConfig(key: string): TsnetError {
  const way = `etcdctl put ${key} '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'`;
  return new TsnetError(`nobody has said what the network is: ${way}`, { code: "not-found" });
}

function read(entry: KeyValue): { subnets: Parts<Cidr>; record: LeaseRecord | undefined; reason: string | undefined } {
  let subnets: Parts<Cidr> = {};
  try {
    subnets = subnetsIn(entry.key);
    return { subnets, record: parseLeaseRecord(entry.key, entry.text, subnets), reason: undefined };
  } catch (error) {
    return { subnets, record: undefined, reason: messageOf(error) };
  }
}
