/**
 * Tables of services in few words, for the tests of the iptables back end.
 *
 * @module
 */
import type { Endpoint, Frontend, PortRules, Table } from "../../../proxy/table/types.ts";

/** A cluster IP. */
export function clusterIP(address: string, port = 80, policy: Frontend["policy"] = "Cluster"): Frontend {
  return { kind: "clusterIP", address, port, policy, sourceRanges: undefined };
}

/** A frontend for clients from outside. */
export function outside(kind: Exclude<Frontend["kind"], "clusterIP">, more: Partial<Frontend>): Frontend {
  return { kind, address: "", port: 80, policy: "Cluster", sourceRanges: undefined, ...more };
}

/** `10.1.0.2:8080`; with a `*` behind it, on this node. */
export function endpoint(text: string): Endpoint {
  const [, address = "", port = ""] = /^\[?(.*?)\]?:(\d+)\*?$/.exec(text) ?? [];
  return { address, port: Number(port), local: text.endsWith("*") };
}

/** A TCP port that is served, by default, by `endpoints`. */
export function port(name: string, frontends: readonly Frontend[], more: Partial<PortRules> = {}): PortRules {
  const endpoints = more.endpoints ?? [];
  return {
    name,
    protocol: "tcp",
    frontends,
    endpoints,
    local: endpoints.filter(({ local }) => local),
    served: endpoints.length > 0,
    affinitySeconds: undefined,
    ...more,
  };
}

export function table(ports: readonly PortRules[], more: Partial<Table> = {}): Table {
  return {
    services: new Map(ports.map((each) => [each.name.split(":")[0] ?? "", [each]])),
    serviceCIDRs: ["10.96.0.0/12", "fd00:10:96::/108"],
    node: { podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"], addresses: ["192.168.50.1", "fd50::1"] },
    ...more,
  };
}

/** Numbers from 0 to 1, always the same ones for a seed. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
