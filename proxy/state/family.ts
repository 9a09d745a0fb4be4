/**
 * Plans the services that something happened to, in one family, and keeps the table that comes of it.
 *
 * A plan may take an address from another service or leave one to it; that one is planned too, until nothing moves
 * any more. That ends: who has a cluster IP depends on no plan, and who has any other address only on that.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import type { ServicePortObject } from "../objects/objects.ts";
import { describeKey, frontendKey } from "../table/frontends.ts";
import { planService } from "../table/plan.ts";
import type { Frontend, PortRules, ServiceChange, Table } from "../table/types.ts";
import { Claims } from "./claims.ts";
import type { Entry } from "./entry.ts";
import type { Facts } from "./facts.ts";
import { changedFlows, type FlowProtocol, type Flows, flowsOf } from "./flows.ts";
import type { FlowCleanup, NoLocalEndpoints } from "./pending.ts";
import { mergedEndpoints, portKey } from "./slices.ts";

export type Log = (level: "warn" | "info" | "debug", message: string, fields?: object) => void;
type Rules = readonly PortRules[] | undefined;

/** A service as it was before a round. */
interface Earlier {
  readonly rules: Rules;
  readonly flows: Flows | undefined;
  readonly lost: readonly string[];
}

/** What one round came to. */
export interface Round {
  readonly table: Table;
  readonly changes: ReadonlyMap<string, ServiceChange>;
  readonly udp: readonly FlowCleanup[];
  readonly tcp: readonly FlowCleanup[];
}

export interface FamilyPlannerOptions {
  readonly family: Family;
  readonly facts: Facts;
  readonly log: Log;
  /** Whose flows are to be ended. */
  readonly protocols: readonly FlowProtocol[];
}

export class FamilyPlanner {
  readonly #family: Family;
  readonly #facts: Facts;
  readonly #log: Log;
  readonly #protocols: readonly FlowProtocol[];
  readonly #services = new Map<string, readonly PortRules[]>();
  readonly #dirty = new Set<Entry>();
  readonly #claims = new Claims<Entry>((entry) => this.touch(entry));
  /** Of the few services that have such: claims that others go before them in, flows, ports that nobody here serves. */
  readonly #lost = new Map<Entry, readonly string[]>();
  readonly #flows = new Map<Entry, Flows>();
  readonly #noLocal = new Map<Entry, NoLocalEndpoints>();
  /** Claims of the service that is being planned. */
  readonly #wished = new Set<string>();
  #internal = 0;
  #external = 0;
  #table: Table | undefined;

  constructor({ family, facts, log, protocols }: FamilyPlannerOptions) {
    this.#family = family;
    this.#facts = facts;
    this.#log = log;
    this.#protocols = protocols;
  }

  get noLocalEndpoints(): NoLocalEndpoints {
    return { internal: this.#internal, external: this.#external };
  }

  /** The service has to be planned again; during a round, once more in this round. */
  touch(entry: Entry): void {
    this.#dirty.delete(entry);
    this.#dirty.add(entry);
  }

  /** Plans until nothing is left to plan. */
  plan(): Round {
    const round = new Map<Entry, Earlier>();
    // A set goes on to what is added to it meanwhile.
    for (const entry of this.#dirty) {
      this.#dirty.delete(entry);
      if (!round.has(entry)) round.set(entry, this.#earlierOf(entry));
      this.#planEntry(entry, round.get(entry)?.rules);
    }
    const changes = new Map<string, ServiceChange>();
    const flows: Record<FlowProtocol, FlowCleanup[]> = { udp: [], tcp: [] };
    for (const [entry, earlier] of round) {
      const after = this.#services.get(entry.key);
      if (earlier.rules !== after) changes.set(entry.key, { before: earlier.rules, after });
      for (const one of this.#protocols) flows[one].push(...this.#cleanupsOf(entry, earlier, after, one));
      this.#warnOfLost(entry, earlier.lost);
    }
    return { table: this.#currentTable(), changes, ...flows };
  }

  #earlierOf(entry: Entry): Earlier {
    const lost = this.#lost.get(entry) ?? NONE;
    return { rules: this.#services.get(entry.key), flows: this.#flows.get(entry), lost };
  }

  #planEntry(entry: Entry, before: Rules): void {
    this.#wished.clear();
    const lost: string[] = [];
    const candidates = (port: ServicePortObject) => mergedEndpoints(entry.slices, this.#family, portKey(port));
    const rules =
      entry.object &&
      planService(entry.key, entry.object, before, {
        family: this.#family,
        nodeAddresses: this.#facts.of(this.#family).node.addresses,
        zone: this.#facts.zone,
        candidates,
        grants: (port, frontend) => this.#grants(entry, frontendKey(port.protocol, frontend), lost),
      });
    this.#releaseUnwished(entry);
    keep(this.#services, entry.key, rules);
    keep(this.#lost, entry, lost.length === 0 ? undefined : lost);
    this.#count(entry, rules && countNoLocal(rules));
    keep(this.#flows, entry, entry.object && flowsOf(entry.key, entry.object.ports, candidates, this.#protocols));
  }

  #grants(entry: Entry, key: string, lost: string[]): boolean {
    const first = !this.#wished.has(key);
    this.#wished.add(key);
    if (this.#claims.claim(key, entry) === entry && first) return true;
    lost.push(key);
    return false;
  }

  /** What it had or waited for and does not ask for any more. */
  #releaseUnwished(entry: Entry): void {
    for (const { protocol, frontends } of this.#services.get(entry.key) ?? NONE) {
      for (const frontend of frontends) this.#releaseUnlessWished(frontendKey(protocol, frontend), entry);
    }
    for (const key of this.#lost.get(entry) ?? NONE) this.#releaseUnlessWished(key, entry);
  }

  #releaseUnlessWished(key: string, entry: Entry): void {
    if (!this.#wished.has(key)) this.#claims.release(key, entry);
  }

  #count(entry: Entry, noLocal: NoLocalEndpoints | undefined): void {
    const before = this.#noLocal.get(entry);
    this.#internal += (noLocal?.internal ?? 0) - (before?.internal ?? 0);
    this.#external += (noLocal?.external ?? 0) - (before?.external ?? 0);
    keep(this.#noLocal, entry, noLocal);
  }

  #cleanupsOf(entry: Entry, earlier: Earlier, rules: Rules, protocol: FlowProtocol): readonly FlowCleanup[] {
    const flows = this.#flows.get(entry);
    if (flows === undefined && earlier.flows === undefined) return NONE;
    const taken = (frontend: Frontend) => this.#claims.holder(frontendKey("udp", frontend)) !== undefined;
    return changedFlows(protocol, earlier, { rules, flows }, taken);
  }

  #warnOfLost(entry: Entry, before: readonly string[]): void {
    const service = entry.key;
    for (const key of this.#lost.get(entry) ?? NONE) {
      if (before.includes(key)) continue;
      const holder = this.#claims.holder(key)?.key ?? service;
      const who = holder === service ? `two ports of ${service}` : `${service} and ${holder} both`;
      const whose = holder === service ? "the first" : holder;
      const fields = { service, holder, family: this.#family };
      this.#log("warn", `${who} claim ${describeKey(key)}: ${whose} has it, change one of them`, fields);
    }
  }

  /** The same one as before unless its facts changed: its services are a map that lives on. */
  #currentTable(): Table {
    const { serviceCIDRs, node } = this.#facts.of(this.#family);
    if (this.#table?.node !== node) this.#table = { services: this.#services, serviceCIDRs, node };
    return this.#table;
  }
}

const NONE: readonly never[] = Object.freeze([]);

function keep<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

/** Ports that a client who is led by policy Local finds nobody behind, though others do. */
function countNoLocal(rules: readonly PortRules[]): NoLocalEndpoints | undefined {
  let [internal, external] = [0, 0];
  for (const { served, local, frontends } of rules) {
    if (!served || local.length > 0) continue;
    if (frontends.some(({ kind, policy }) => policy === "Local" && kind === "clusterIP")) internal++;
    if (frontends.some(({ kind, policy }) => policy === "Local" && kind !== "clusterIP")) external++;
  }
  return internal + external === 0 ? undefined : { internal, external };
}
