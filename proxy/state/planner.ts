/**
 * Plans the services that something happened to, and keeps the tables that come of it.
 *
 * A plan may take an address from another service or leave one to it; that one is planned too, until nothing moves
 * any more. That ends: who has a cluster IP depends on no plan, and who has any other address only on that.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { describeKey, frontendKey } from "../table/frontends.ts";
import { planService } from "../table/plan.ts";
import type { Frontend, PortRules, ServiceChange, Table } from "../table/types.ts";
import { Claims } from "./claims.ts";
import { ALL_LOCAL, type Entry, NONE, type NoLocalEndpoints } from "./entry.ts";
import type { Facts, FamilyFacts } from "./facts.ts";
import { changedFlows, flowsOf } from "./flows.ts";
import { healthCheckOf } from "./health.ts";
import type { HealthCheck, Pending, UdpCleanup } from "./pending.ts";
import { mergedEndpoints, portKey } from "./slices.ts";

type Log = (level: "warn" | "info" | "debug", message: string, fields?: object) => void;
type Rules = readonly PortRules[] | undefined;

/** One service in one family as it was before this round. */
interface Earlier {
  readonly rules: ReadonlyMap<Family, Rules>;
  readonly flows: Entry["flows"];
  readonly lost: Entry["lost"];
}

/** What a service claims, as its plan goes on. */
interface Wishes {
  readonly keys: Set<string>;
  readonly lost: string[];
}

export class Planner {
  readonly #facts: Facts;
  readonly #log: Log;
  readonly #services: ReadonlyMap<Family, Map<string, readonly PortRules[]>>;
  readonly #tables = new Map<Family, Table>();
  readonly #healthChecks = new Map<string, HealthCheck>();
  readonly #dirty = new Set<Entry>();
  readonly #claims = new Claims<Entry>((entry) => this.touch(entry));
  #internal = 0;
  #external = 0;

  constructor(facts: Facts, log: Log) {
    this.#facts = facts;
    this.#log = log;
    this.#services = new Map(facts.families.map((family) => [family, new Map()]));
  }

  /** The service has to be planned again; during a round, once more in this round. */
  touch(entry: Entry): void {
    this.#dirty.delete(entry);
    this.#dirty.add(entry);
  }

  /** One round. `planned` is told of each service that was looked at. */
  plan(
    planned: (entry: Entry) => void,
  ): Pick<Pending, "tables" | "changes" | "healthChecks" | "noLocalEndpoints" | "udp"> {
    const round = new Map<Entry, Earlier>();
    // A set goes on to what is added to it meanwhile.
    for (const entry of this.#dirty) {
      this.#dirty.delete(entry);
      if (!round.has(entry)) round.set(entry, this.#earlierOf(entry));
      this.#planEntry(entry, round.get(entry));
    }
    for (const [entry, { lost }] of round) {
      this.#warnOfLost(entry, lost);
      planned(entry);
    }
    return {
      tables: this.#currentTables(),
      changes: new Map(this.#facts.families.map((family) => [family, this.#changesOf(family, round)])),
      healthChecks: this.#healthChecks,
      noLocalEndpoints: { internal: this.#internal, external: this.#external },
      udp: new Map(this.#facts.families.map((family) => [family, this.#cleanupsOf(family, round)])),
    };
  }

  #earlierOf(entry: Entry): Earlier {
    return {
      rules: new Map(this.#facts.families.map((family) => [family, this.#rulesOf(family, entry)])),
      flows: entry.flows,
      lost: entry.lost,
    };
  }

  #planEntry(entry: Entry, earlier: Earlier | undefined): void {
    const wishes: Wishes = { keys: new Set(), lost: [] };
    for (const family of this.#facts.families) {
      const rules = this.#planFamily(entry, family, earlier?.rules.get(family), wishes);
      if (rules === undefined) this.#services.get(family)?.delete(entry.key);
      else this.#services.get(family)?.set(entry.key, rules);
    }
    for (const key of entry.claims) if (!wishes.keys.has(key)) this.#claims.release(key, entry);
    entry.claims = [...wishes.keys];
    entry.lost = wishes.lost.length === 0 ? NONE : wishes.lost;
    this.#record(entry);
  }

  #planFamily(entry: Entry, family: Family, before: Rules, wishes: Wishes): Rules {
    if (entry.object === undefined) return undefined;
    const { node } = this.#facts.of(family);
    return planService(entry.object, before, {
      family,
      nodeAddresses: node.addresses,
      zone: this.#facts.zone,
      candidates: (port) => mergedEndpoints(entry.slices, family, portKey(port)),
      grants: (port, frontend) => this.#grants(entry, frontendKey(family, port.protocol, frontend), wishes),
    });
  }

  #grants(entry: Entry, key: string, { keys, lost }: Wishes): boolean {
    const first = !keys.has(key);
    keys.add(key);
    if (this.#claims.claim(key, entry) === entry && first) return true;
    lost.push(key);
    return false;
  }

  #warnOfLost({ key: service, lost }: Entry, before: readonly string[]): void {
    for (const key of lost) {
      const holder = this.#claims.holder(key)?.key ?? service;
      if (before.includes(key)) continue;
      const who = holder === service ? `two ports of ${service}` : `${service} and ${holder} both`;
      const whose = holder === service ? "the first" : holder;
      this.#log("warn", `${who} claim ${describeKey(key)}: ${whose} has it, change one of them`, { service, holder });
    }
  }

  /** Keeps what is counted and answered beside the tables up with them. */
  #record(entry: Entry): void {
    const all = this.#facts.families.flatMap((family) => this.#rulesOf(family, entry) ?? []);
    const noLocal = countNoLocal(all);
    this.#internal += noLocal.internal - entry.noLocal.internal;
    this.#external += noLocal.external - entry.noLocal.external;
    entry.noLocal = noLocal;
    entry.flows = flowsOf(entry, this.#facts.families);
    const check = healthCheckOf(entry, this.#facts.families);
    if (check === undefined) this.#healthChecks.delete(entry.key);
    else this.#healthChecks.set(entry.key, check);
  }

  #rulesOf(family: Family, entry: Entry): Rules {
    return this.#services.get(family)?.get(entry.key);
  }

  #changesOf(family: Family, round: ReadonlyMap<Entry, Earlier>): ReadonlyMap<string, ServiceChange> {
    const changes = new Map<string, ServiceChange>();
    for (const [entry, earlier] of round) {
      const before = earlier.rules.get(family);
      const after = this.#rulesOf(family, entry);
      if (before !== after) changes.set(entry.key, { before, after });
    }
    return changes;
  }

  #cleanupsOf(family: Family, round: ReadonlyMap<Entry, Earlier>): readonly UdpCleanup[] {
    const cleanups: UdpCleanup[] = [];
    for (const [entry, earlier] of round) {
      const before = { rules: earlier.rules.get(family), flows: earlier.flows };
      const after = { rules: this.#rulesOf(family, entry), flows: entry.flows };
      const taken = (frontend: Frontend) => this.#claims.holder(frontendKey(family, "udp", frontend)) !== undefined;
      cleanups.push(...changedFlows(family, before, after, taken));
    }
    return cleanups;
  }

  /** The same table as before unless its facts changed: its services are a map that lives on. */
  #currentTables(): ReadonlyMap<Family, Table> {
    for (const [family, services] of this.#services) {
      const facts: FamilyFacts = this.#facts.of(family);
      if (this.#tables.get(family)?.node !== facts.node) this.#tables.set(family, { services, ...facts });
    }
    return this.#tables;
  }
}

/** Ports that a client who is led by policy Local finds nobody behind, though others do. */
function countNoLocal(all: readonly PortRules[]): NoLocalEndpoints {
  const missing = all.filter(({ served, local }) => served && local.length === 0);
  if (missing.length === 0) return ALL_LOCAL;
  const count = (internal: boolean) =>
    missing.filter(({ frontends }) =>
      frontends.some(({ kind, policy }) => policy === "Local" && (kind === "clusterIP") === internal),
    ).length;
  return { internal: count(true), external: count(false) };
}
