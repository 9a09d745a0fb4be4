/** What the fuzz test holds a State's answers against. */
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import type { Pending } from "../../../proxy/state/pending.ts";
import type { Endpoint, PortRules } from "../../../proxy/table/types.ts";
import type { Expected, ExpectedRules } from "./oracle.ts";

const FAMILIES = [4, 6] as const;

/** An expectation that costs little where it holds: there are millions. */
export function same(found: unknown, wanted: unknown): void {
  if (!isDeepStrictEqual(found, wanted)) expect(found).toStrictEqual(wanted);
}

const placeOf = ({ address, port }: { address: string; port: number }) => `${address} ${port}`;

function placesOf(endpoints: readonly Endpoint[]): readonly string[] {
  return endpoints.map((each) => `${placeOf(each)}${each.local ? " local" : ""}`).sort();
}

/** Rules as the oracle writes them, but for the flows, which no table holds. */
function written(rules: PortRules): Omit<ExpectedRules, "flows"> {
  return {
    protocol: rules.protocol,
    frontends: rules.frontends
      .map(
        (each) =>
          `${each.kind} ${each.address} ${each.port} ${each.policy} ${each.sourceRanges?.toSorted().join(",") ?? "all"}`,
      )
      .sort(),
    endpoints: placesOf(rules.endpoints),
    local: placesOf(rules.local),
    served: rules.served,
    affinity: rules.affinitySeconds,
  };
}

export function compareWithOracle(pending: Pending, wanted: Expected): void {
  for (const family of FAMILIES) {
    const table = pending.tables.get(family);
    const all = [...(table?.services.values() ?? [])].flat();
    const found = Object.fromEntries(all.map((rules) => [rules.name, written(rules)]));
    const oracle = [...(wanted.rules.get(family) ?? [])].map(([name, { flows: _, ...rules }]) => [name, rules]);
    same(found, Object.fromEntries(oracle));
    const facts = [table?.serviceCIDRs, table?.node.addresses, table?.node.podCIDRs];
    same(facts.map((each) => each?.toSorted().join(",")).join(" | "), wanted.facts.get(family));
    same(
      all.filter(({ frontends }) => frontends[0]?.kind !== "clusterIP"),
      [],
    );
  }
  const checks = [...pending.healthChecks].map(([key, { port, localEndpoints }]) => [key, `${port} ${localEndpoints}`]);
  same(Object.fromEntries(checks), Object.fromEntries(wanted.healthChecks));
  same(pending.noLocalEndpoints, wanted.noLocal);
}

/** Rebuilds each table from the changes alone, and looks at what they say about order. */
export class Mirror {
  readonly #tables = new Map(FAMILIES.map((family) => [family, new Map<string, readonly PortRules[]>()]));

  follow(pending: Pending): void {
    for (const [family, mirror] of this.#tables) {
      for (const [key, { before, after }] of pending.changes.get(family) ?? []) {
        same(mirror.get(key) === before, true);
        if (after === undefined) mirror.delete(key);
        else mirror.set(key, after);
        for (const rules of after ?? []) {
          const earlier = before?.find(({ name, protocol }) => name === rules.name && protocol === rules.protocol);
          if (earlier !== undefined) expectStable(earlier.endpoints, rules.endpoints);
          if (earlier !== undefined) expectStable(earlier.local, rules.local);
        }
      }
      const services = pending.tables.get(family)?.services;
      same([...mirror.keys()].sort(), [...(services?.keys() ?? [])].sort());
      for (const [key, rules] of mirror) same(services?.get(key) === rules, true);
    }
  }
}

function expectStable(before: readonly Endpoint[], after: readonly Endpoint[]): void {
  const now = after.map(placeOf);
  for (const [i, place] of before.map(placeOf).entries()) {
    if (i < now.length && now.includes(place)) same(now[i], place);
  }
}

/** The kernel's UDP flows: clients ask every frontend and are led to every endpoint after each take. */
export class Flows {
  readonly #flows = new Map(FAMILIES.map((family) => [family, new Set<string>()]));

  follow(pending: Pending, wanted: Expected): void {
    for (const [family, flows] of this.#flows) {
      for (const { frontends, serving } of pending.udp.get(family) ?? []) {
        const stay = serving.map(placeOf);
        const concerned = new Set(frontends.map(placeOf));
        for (const flow of flows) {
          const [frontend = "", endpoint = ""] = flow.split(" > ");
          if (concerned.has(frontend) && !stay.includes(endpoint)) flows.delete(flow);
        }
      }
      const legal = [...(wanted.rules.get(family)?.values() ?? [])]
        .filter(({ protocol }) => protocol === "udp")
        .flatMap(flowsBy);
      same(
        [...flows].filter((flow) => !legal.includes(flow)),
        [],
      );
      // None that may go on was cut: those that were legal before and are now are all there.
      const before = this.#legal.get(family) ?? [];
      same(
        before.filter((flow) => legal.includes(flow) && !flows.has(flow)),
        [],
      );
      for (const flow of legal) flows.add(flow);
      this.#legal.set(family, legal);
    }
  }

  readonly #legal = new Map<4 | 6, readonly string[]>();
}

function flowsBy({ frontends, flows }: ExpectedRules): readonly string[] {
  return frontends.flatMap((frontend) => {
    const [, address = "", port = ""] = frontend.split(" ");
    return flows.map((endpoint) => `${address} ${port} > ${endpoint}`);
  });
}

/** Tables without the order of endpoints, which depends on the past. */
export function asSets(pending: Pending): unknown {
  return FAMILIES.map((family) => {
    const table = pending.tables.get(family);
    const services = [...(table?.services ?? [])].map(([key, rules]) => [key, rules.map(written)]);
    return { ...table, services: Object.fromEntries(services) };
  });
}
