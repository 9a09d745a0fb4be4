/**
 * What is, and what follows from it: the one object between a source and the back ends.
 *
 * A source tells of objects ({@link Sink}); the sync loop takes what became of them ({@link State.take}). All is
 * kept by service, and only services that something happened to are planned: with 50,000 of them one change costs
 * what it costs with 100.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import type { NodeObject, ServiceCidrObject, ServiceObject, SliceObject } from "../objects/objects.ts";
import type { Kind, ObjectOf, Sink } from "../source/source.ts";
import { Entry } from "./entry.ts";
import { Facts } from "./facts.ts";
import { FamilyPlanner, type Log, type Round } from "./family.ts";
import type { FlowProtocol } from "./flows.ts";
import { healthCheckOf } from "./health.ts";
import type { HealthCheck, NoLocalEndpoints, Pending } from "./pending.ts";
import { ServiceKeeper } from "./services.ts";
import { type KeptSlice, SliceKeeper } from "./slices.ts";

export interface StateOptions {
  readonly nodeName: string;
  readonly families: readonly Family[];
  readonly log: Log;
  /** Something may have changed a table or a health answer. Often called many times in a row. */
  readonly changed: () => void;
  /** Addresses of this node's pods, by detect-local mode. */
  readonly podCIDRs: (node: NodeObject | undefined) => readonly string[];
  /** Called once for each object that cannot be read and each reason. */
  readonly onMalformed?: ((kind: Kind, key: string, reason: string) => void) | undefined;
  readonly onConnection?: ((kind: Kind, state: "up" | "down", reason: string | undefined) => void) | undefined;
  /** Whether TCP flows are to be ended whose endpoint is gone. */
  readonly flushTcp?: boolean | undefined;
  /** ms since 1970, by default now: what triggered a slice before this is no measure of us. */
  readonly startedAt?: number | undefined;
}

const KINDS: readonly Kind[] = ["Service", "EndpointSlice", "ServiceCIDR", "Node"];

export class State implements Sink {
  readonly #options: StateOptions;
  readonly #startedAt: number;
  readonly #entries = new Map<string, Entry>();
  /** By slice, the service that it is of. */
  readonly #sliceOwners = new Map<string, Entry>();
  readonly #serviceCIDRs = new Map<string, ServiceCidrObject>();
  readonly #serviceKeeper = new ServiceKeeper();
  readonly #sliceKeeper: SliceKeeper;
  readonly #facts: Facts;
  readonly #planners: ReadonlyMap<Family, FamilyPlanner>;
  readonly #healthChecks = new Map<string, HealthCheck>();
  /** Services that something happened to. */
  readonly #touched = new Set<Entry>();
  readonly #synced = new Set<Kind>();
  /** `kind key` → reason. */
  readonly #malformed = new Map<string, string>();
  #node: NodeObject | undefined;
  #triggers: number[] = [];
  #serviceChanges = 0;
  #endpointChanges = 0;

  constructor(options: StateOptions) {
    this.#options = options;
    this.#startedAt = options.startedAt ?? Date.now();
    this.#sliceKeeper = new SliceKeeper(options.nodeName);
    this.#facts = new Facts(options.families, options.podCIDRs);
    const protocols: readonly FlowProtocol[] = options.flushTcp === true ? ["udp", "tcp"] : ["udp"];
    const planner = (family: Family) => new FamilyPlanner({ family, facts: this.#facts, log: options.log, protocols });
    this.#planners = new Map(options.families.map((family) => [family, planner(family)]));
  }

  /** Whether all there is has been delivered: nothing is to be written before, or services would lose endpoints. */
  get ready(): boolean {
    return KINDS.every((kind) => this.#synced.has(kind));
  }

  /** The Node of this proxy; undefined if there is none (any more). */
  get node(): NodeObject | undefined {
    return this.#node;
  }

  /** How many changes of Services and of slices wait for the next {@link take}. */
  get waiting(): { readonly services: number; readonly endpoints: number } {
    return { services: this.#serviceChanges, endpoints: this.#endpointChanges };
  }

  /** How many objects are left out since they cannot be read. */
  get malformedObjects(): number {
    return this.#malformed.size;
  }

  set<K extends Kind>(kind: K, key: string, object: ObjectOf[K]): void {
    this.#malformed.delete(`${kind} ${key}`);
    this.#setters[kind](key, object);
  }

  delete(kind: Kind, key: string): void {
    this.#malformed.delete(`${kind} ${key}`);
    this.#remove(kind, key);
  }

  *keys(kind: Kind): Iterable<string> {
    if (kind === "Service") {
      for (const entry of this.#entries.values()) if (entry.object !== undefined) yield entry.key;
    } else if (kind === "EndpointSlice") yield* this.#sliceOwners.keys();
    else if (kind === "ServiceCIDR") yield* this.#serviceCIDRs.keys();
    else if (this.#node !== undefined) yield this.#node.name;
    const prefix = `${kind} `;
    for (const key of this.#malformed.keys()) if (key.startsWith(prefix)) yield key.slice(prefix.length);
  }

  synced(kind: Kind): void {
    if (this.#synced.has(kind)) return;
    this.#synced.add(kind);
    this.#options.changed();
  }

  malformed(kind: Kind, key: string, reason: string): void {
    const id = `${kind} ${key}`;
    if (this.#malformed.get(id) !== reason) {
      this.#malformed.set(id, reason);
      this.#options.log("warn", `${kind} ${key} cannot be read and is left out: ${reason}`, { kind, key });
      this.#options.onMalformed?.(kind, key, reason);
    }
    this.#remove(kind, key);
  }

  connection(kind: Kind, state: "up" | "down", reason?: string): void {
    this.#options.onConnection?.(kind, state, reason);
  }

  /** Plans what something happened to since the last call, for every family. */
  take(): Pending {
    const { factsChanged, planningChanged } = this.#facts.refresh(this.#node, this.#serviceCIDRs.values());
    if (planningChanged) for (const entry of this.#entries.values()) this.#touched.add(entry);
    for (const planner of this.#planners.values()) for (const entry of this.#touched) planner.touch(entry);
    const rounds = [...this.#planners].map(([family, planner]) => [family, planner.plan()] as const);
    for (const entry of this.#touched) this.#settle(entry);
    this.#touched.clear();
    const of = <T>(part: (round: Round) => T) => new Map(rounds.map(([family, round]) => [family, part(round)]));
    const pending: Pending = {
      tables: of(({ table }) => table),
      changes: of(({ changes }) => changes),
      udp: of(({ udp }) => udp),
      tcp: of(({ tcp }) => tcp),
      factsChanged,
      triggers: this.#triggers,
      serviceChanges: this.#serviceChanges,
      endpointChanges: this.#endpointChanges,
      healthChecks: this.#healthChecks,
      noLocalEndpoints: this.#noLocalEndpoints(),
    };
    this.#triggers = [];
    this.#serviceChanges = 0;
    this.#endpointChanges = 0;
    return pending;
  }

  /** After its plan: a service that is gone is forgotten, and what is answered about one that is there is found out. */
  #settle(entry: Entry): void {
    if (entry.object === undefined && entry.slices.length === 0) this.#entries.delete(entry.key);
    const check = healthCheckOf(entry, this.#options.families);
    if (check === undefined) this.#healthChecks.delete(entry.key);
    else this.#healthChecks.set(entry.key, check);
  }

  #noLocalEndpoints(): NoLocalEndpoints {
    const counts = [...this.#planners.values()].map(({ noLocalEndpoints }) => noLocalEndpoints);
    return {
      internal: counts.reduce((sum, { internal }) => sum + internal, 0),
      external: counts.reduce((sum, { external }) => sum + external, 0),
    };
  }

  readonly #setters: { readonly [K in Kind]: (key: string, object: ObjectOf[K]) => void } = {
    Service: (key, object) => this.#setService(key, object),
    EndpointSlice: (key, object) => this.#setSlice(key, object),
    ServiceCIDR: (key, object) => {
      this.#serviceCIDRs.set(key, object);
      this.#options.changed();
    },
    Node: (_, object) => {
      if (object.name !== this.#options.nodeName) return;
      this.#node = object;
      this.#options.changed();
    },
  };

  #remove(kind: Kind, key: string): void {
    if (kind === "Service") this.#setService(key, undefined);
    else if (kind === "EndpointSlice") this.#dropSlice(key);
    else if (kind === "ServiceCIDR") {
      if (this.#serviceCIDRs.delete(key)) this.#options.changed();
    } else if (this.#node?.name === key) {
      this.#node = undefined;
      this.#options.changed();
    }
  }

  #setService(key: string, object: ServiceObject | undefined): void {
    const entry = this.#entries.get(key);
    const kept = object && this.#serviceKeeper.keep(object, entry?.object);
    if (kept === entry?.object) return;
    const changed = entry ?? this.#newEntry(key);
    changed.object = kept;
    this.#serviceChanges++;
    this.#touch(changed);
  }

  #setSlice(key: string, object: SliceObject): void {
    const service = `${object.namespace}/${object.service}`;
    const wanted = this.#options.families.includes(object.family);
    const owner = this.#sliceOwners.get(key);
    if (!wanted || (owner !== undefined && owner.key !== service)) this.#dropSlice(key);
    if (!wanted) return;
    const earlier = owner?.key === service ? owner.slices.find((slice) => slice.key === key) : undefined;
    const kept = this.#sliceKeeper.keep(key, object, earlier);
    if (kept === earlier) return;
    if (object.triggeredAt !== undefined && object.triggeredAt > this.#startedAt) {
      this.#triggers.push(object.triggeredAt);
    }
    this.#changeSlice(this.#entries.get(service) ?? this.#newEntry(service), key, kept);
  }

  #dropSlice(key: string): void {
    const owner = this.#sliceOwners.get(key);
    if (owner !== undefined) this.#changeSlice(owner, key, undefined);
  }

  #changeSlice(owner: Entry, key: string, kept: KeptSlice | undefined): void {
    owner.setSlice(key, kept);
    if (kept === undefined) this.#sliceOwners.delete(key);
    else this.#sliceOwners.set(key, owner);
    this.#endpointChanges++;
    this.#touch(owner);
  }

  #newEntry(key: string): Entry {
    const entry = new Entry(key);
    this.#entries.set(key, entry);
    return entry;
  }

  #touch(entry: Entry): void {
    this.#touched.add(entry);
    this.#options.changed();
  }
}
