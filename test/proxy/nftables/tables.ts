/**
 * Tables in few words, for both families: addresses are numbers within the networks of the family.
 *
 * @module
 */
import type { Endpoint, Frontend, PortRules } from "../../../proxy/table/types.ts";
import type { PlainTable } from "./agent.ts";

export type Family = 4 | 6;

const NETWORKS = {
  service: { 4: "10.96.0.", 6: "fd00:10:96::" },
  external: { 4: "192.0.2.", 6: "2001:db8:2::" },
  local: { 4: "10.244.1.", 6: "fd00:10:244:1::" },
  remote: { 4: "10.244.2.", 6: "fd00:10:244:2::" },
} as const;

/** `10.96.0.7`, or the same in IPv6. */
export function addressOf(network: keyof typeof NETWORKS, number: number, family: Family): string {
  return `${NETWORKS[network][family]}${family === 4 ? number : number.toString(16)}`;
}

/** What is said of a port of a service; the rest is usual. */
export interface Port extends Partial<Omit<PortRules, "frontends" | "endpoints" | "local">> {
  readonly name: string;
  /** Of the cluster IP. */
  readonly n: number;
  readonly port?: number;
  readonly internal?: "Local";
  readonly external?: "Local";
  readonly nodePort?: number;
  readonly externalIP?: boolean;
  /** A load balancer at `n` + 100 for these sources; none: for all. */
  readonly loadBalancer?: readonly string[];
  /** Numbers of endpoints on this node, and elsewhere. */
  readonly here?: readonly number[];
  readonly there?: readonly number[];
  readonly target?: number;
}

export function portRules(port: Port, family: Family): PortRules {
  const {
    n,
    port: number = 80,
    internal,
    external,
    nodePort,
    externalIP,
    loadBalancer,
    here = [],
    there = [],
    target = 8080,
    ...rest
  } = port;
  const policy = external ?? "Cluster";
  const frontend = (kind: Frontend["kind"], address: string, of: Partial<Frontend> = {}): Frontend => ({
    kind,
    address,
    port: number,
    policy,
    sourceRanges: undefined,
    ...of,
  });
  const ranges = loadBalancer !== undefined && loadBalancer.length > 0 ? { sourceRanges: loadBalancer } : {};
  const local = here.map(
    (each): Endpoint => ({ address: addressOf("local", each, family), port: target, local: true }),
  );
  const remote = there.map(
    (each): Endpoint => ({ address: addressOf("remote", each, family), port: target, local: false }),
  );
  const endpoints = [...local, ...remote];
  const usesLocal = internal === "Local" || external === "Local";
  return {
    protocol: "tcp",
    served: endpoints.length > 0,
    affinitySeconds: undefined,
    frontends: [
      frontend("clusterIP", addressOf("service", n, family), { policy: internal ?? "Cluster" }),
      ...(nodePort === undefined ? [] : [frontend("nodePort", "", { port: nodePort })]),
      ...(externalIP === true ? [frontend("externalIP", addressOf("external", n, family))] : []),
      ...(loadBalancer === undefined ? [] : [frontend("loadBalancer", addressOf("external", n + 100, family), ranges)]),
    ],
    endpoints,
    local: usesLocal ? local : [],
    ...rest,
  };
}

/** One port a service, under the service's name; ports of one service are given as a list. */
export function tableOf(ports: readonly (Port | readonly Port[])[], family: Family): PlainTable {
  const services = ports.map((each): [string, PortRules[]] => {
    const list = Array.isArray(each) ? each : [each];
    return [list[0].name.replace(/:.*/, ""), list.map((port: Port) => portRules(port, family))];
  });
  return {
    services: Object.fromEntries(services),
    serviceCIDRs: [family === 4 ? "10.96.0.0/16" : "fd00:10:96::/112"],
    node: {
      podCIDRs: [family === 4 ? "10.244.1.0/24" : "fd00:10:244:1::/64"],
      addresses: [family === 4 ? "192.168.50.1" : "fd50::1"],
    },
  };
}

/** A dozen services, of every kind that there is. */
export function dozen(family: Family): PlainTable {
  const outside = family === 4 ? "203.0.113.0/24" : "2001:db8:203::/64";
  return tableOf(
    [
      { name: "default/kubernetes:https", n: 1, port: 443, target: 6443, there: [1] },
      [
        { name: "kube-system/dns:dns", n: 10, port: 53, target: 53, protocol: "udp", here: [2], there: [2] },
        { name: "kube-system/dns:dns-tcp", n: 10, port: 53, target: 53, here: [2], there: [2] },
      ],
      { name: "shop/web:http", n: 2, here: [11], there: [11, 12], nodePort: 30080, loadBalancer: [outside] },
      { name: "shop/cart:http", n: 3, here: [12], there: [13], external: "Local", nodePort: 30081, loadBalancer: [] },
      { name: "shop/agent", n: 4, here: [13], internal: "Local" },
      { name: "shop/absent", n: 5, there: [14], internal: "Local" },
      { name: "shop/empty:http", n: 6, nodePort: 30082, externalIP: true },
      { name: "shop/away:http", n: 7, there: [15], external: "Local", externalIP: true },
      { name: "shop/session:http", n: 8, here: [11], there: [11], affinitySeconds: 10800 },
      {
        name: "shop/account:http",
        n: 9,
        here: [16],
        there: [16],
        affinitySeconds: 600,
        external: "Local",
        nodePort: 30083,
        externalIP: true,
      },
      { name: "phone/signal:diameter", n: 11, port: 3868, protocol: "sctp", there: [17], externalIP: true },
      { name: "shop/two:b", n: 12, port: 8081, here: [11], there: [18] },
    ],
    family,
  );
}
