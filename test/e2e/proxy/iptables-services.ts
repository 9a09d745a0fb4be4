/**
 * A dozen services with one of everything, for the dumps of the iptables back end.
 *
 * @module
 */

import type { Endpoint, PortRules } from "../../../proxy/table/types.ts";
import { clusterIP, endpoint, outside, port } from "../../proxy/iptables/tables.ts";
import type { TableJson } from "./iptables-call.ts";

const here = endpoint("10.244.1.11:8080*");
const there = endpoint("10.244.2.11:8080");
const both: readonly Endpoint[] = [here, there];
const local = { policy: "Local" } as const;

const DOZEN: readonly PortRules[] = [
  port("default/kubernetes:https", [clusterIP("10.96.0.1", 443)], { endpoints: [endpoint("192.168.50.9:6443")] }),
  port("kube-system/dns:udp", [clusterIP("10.96.0.10", 53)], {
    protocol: "udp",
    endpoints: [endpoint("10.244.1.5:53*")],
  }),
  port("shop/three", [clusterIP("10.96.1.1")], { endpoints: [here, there, endpoint("10.244.2.12:8080")] }),
  port("shop/empty", [clusterIP("10.96.1.2"), outside("nodePort", { port: 30002 })]),
  port("shop/internal-local", [clusterIP("10.96.1.3", 80, "Local")], { endpoints: both }),
  port("shop/internal-elsewhere", [clusterIP("10.96.1.4", 80, "Local")], { endpoints: [there] }),
  port("shop/node-port", [clusterIP("10.96.1.5"), outside("nodePort", { port: 30005 })], { endpoints: both }),
  port("shop/external-ip", [clusterIP("10.96.1.6"), outside("externalIP", { address: "198.51.100.6" })], {
    endpoints: both,
  }),
  port(
    "shop/balancer-local",
    [
      clusterIP("10.96.1.7"),
      outside("loadBalancer", { address: "198.51.101.7", ...local }),
      outside("nodePort", { port: 30007, ...local }),
    ],
    { endpoints: both, healthCheckNodePort: 32007 },
  ),
  port(
    "shop/balancer-elsewhere",
    [clusterIP("10.96.1.8"), outside("loadBalancer", { address: "198.51.101.8", ...local })],
    { endpoints: [there] },
  ),
  port(
    "shop/ranges",
    [
      clusterIP("10.96.1.9"),
      outside("loadBalancer", { address: "198.51.101.9", sourceRanges: ["203.0.113.0/24", "198.51.101.9/32"] }),
    ],
    { endpoints: both },
  ),
  port("shop/sticky", [clusterIP("10.96.1.10"), outside("nodePort", { port: 30010 })], {
    endpoints: both,
    affinitySeconds: 10800,
  }),
  port("shop/signal", [clusterIP("172.16.0.1", 3868)], { protocol: "sctp", endpoints: [there] }),
];

/** The dozen and one; in IPv6 the first `count` of them, their addresses those of IPv4 behind prefixes. */
export function dozen(family: 4 | 6, count = DOZEN.length): TableJson {
  const some = DOZEN.slice(0, count);
  const ports = family === 4 ? some : some.map(inIPv6);
  return {
    services: Object.fromEntries(ports.map((each) => [each.name.split(":")[0] ?? "", [each]])),
    serviceCIDRs: ["10.96.0.0/12", "fd00:10:96::/108"],
    node: { podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"], addresses: ["192.168.50.1", "fd50::1"] },
  };
}

function inIPv6(rules: PortRules): PortRules {
  const endpoints = (some: readonly Endpoint[]) => some.map((each) => ({ ...each, address: addressIn6(each.address) }));
  return {
    ...rules,
    endpoints: endpoints(rules.endpoints),
    local: endpoints(rules.local),
    frontends: rules.frontends.map((frontend) => ({
      ...frontend,
      address: frontend.address === "" ? "" : addressIn6(frontend.address),
      sourceRanges: frontend.sourceRanges?.map((cidr) => {
        const [address = "", length] = cidr.split("/");
        return `${addressIn6(address)}/${128 - 32 + Number(length)}`;
      }),
    })),
  };
}

function addressIn6(address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
  const hex = (...numbers: number[]) => numbers.map((number) => number.toString(16)).join(":");
  if (address.startsWith("10.96.")) return `fd00:10:96::${c === 0 ? hex(d) : hex(c, d)}`;
  if (address.startsWith("10.244.")) return `fd00:10:244:${c}::${hex(d)}`;
  return `2001:db8::${hex(a, b, c, d)}`;
}
