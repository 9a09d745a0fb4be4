/**
 * What alike.test.ts asks both proxies: kinds of Services × states of their endpoints × addresses × clients, in both
 * families.
 *
 * @module
 */
import type { Question } from "../e2e/proxy/prober.ts";
import { ADDRESSES, type Family, OUTSIDE, type Place } from "../e2e/proxy/world.ts";
import type { Manifest } from "./api.ts";
import { type EndpointOf, FAMILIES, type ServicePort, service, slice } from "./objects.ts";
import type { Mode } from "./proxies.ts";

/** One thing that a client does. */
export interface Case {
  readonly name: string;
  readonly client: Place;
  readonly question: Question;
  /** Clients stay with one endpoint, whichever: only how many answer can be compared. */
  readonly sticky: boolean;
}

/** The objects of all cases. */
export function objects(): readonly Manifest[] {
  return SERVICES.flatMap(({ name, kind, endpoints, number }) => {
    const ports = portsOf(kind, number);
    const made = service(name, FAMILIES.map(addressIn(CLUSTER, number)), ports, kind.spec(number), {
      loadBalancer: { ingress: kind.ingress?.(number) ?? [] },
    });
    return [made, ...FAMILIES.map((family) => slice(name, family, endpoints, ports))];
  });
}

export function cases(mode: Mode): readonly Case[] {
  return FAMILIES.flatMap((family) => [
    ...SERVICES.flatMap((each) => casesOf(each, family)),
    ...(mode === "nftables" ? outsideOfServices(family) : []),
  ]);
}

interface Kind {
  readonly ports?: readonly ServicePort[];
  readonly spec: (number: number) => Readonly<Record<string, unknown>>;
  /** The load balancer's ingress. */
  readonly ingress?: (number: number) => readonly object[];
  /** Which addresses are asked. */
  readonly fronts: readonly Front[];
}

type Front = "cluster" | "node" | "external" | "balancer";

/** The families' common part of an address; the number of the Service is its end. */
type Prefix = Readonly<Record<Family, string>>;
const CLUSTER: Prefix = { 4: "10.96.1.", 6: "fd00:10:96::1:" };
const EXTERNAL: Prefix = { 4: "198.51.100.", 6: "2001:db8:100::" };
const BALANCER: Prefix = { 4: "198.51.101.", 6: "2001:db8:101::" };

const STATES: Readonly<Record<string, readonly EndpointOf[]>> = {
  everywhere: [{ pod: "local1" }, { pod: "remote1" }],
  here: [{ pod: "local1" }, { pod: "local2" }],
  there: [{ pod: "remote1" }],
  "leaving-here": [{ pod: "local1", state: "terminating" }, { pod: "remote1" }],
  "leaving-there": [
    { pod: "local1", state: "unready" },
    { pod: "remote1", state: "terminating" },
  ],
  gone: [{ pod: "local1", state: "gone" }, { pod: "remote2" }],
  zoned: [
    { pod: "local1", zones: ["zone-a"] },
    { pod: "remote1", zones: ["zone-b"] },
  ],
  none: [],
};

const TCP: readonly ServicePort[] = [{ port: 80 }];
const ALL_PROTOCOLS: readonly ServicePort[] = [
  { name: "web", port: 80 },
  { name: "dns", port: 53, protocol: "UDP", targetPort: 8081 },
  { name: "signal", port: 80, protocol: "SCTP" },
];

const balancer = (more: Readonly<Record<string, unknown>>, ipMode?: string): Kind => ({
  spec: (number) => ({
    type: "LoadBalancer",
    externalIPs: FAMILIES.map(addressIn(EXTERNAL, number)),
    // Else the API server draws one, which a later Service may ask for as its node port.
    ...(more.externalTrafficPolicy === "Local" ? { healthCheckNodePort: 32_000 + number } : {}),
    ...more,
  }),
  ingress: (number) =>
    FAMILIES.map((family) => ({
      ip: addressIn(BALANCER, number)(family),
      ...(ipMode === undefined ? {} : { ipMode }),
    })),
  fronts: ["cluster", "node", "external", "balancer"],
});

const KINDS: Readonly<Record<string, Kind>> = {
  cluster: { ports: ALL_PROTOCOLS, spec: () => ({}), fronts: ["cluster"] },
  internal: { spec: () => ({ internalTrafficPolicy: "Local" }), fronts: ["cluster"] },
  sticky: { spec: () => ({ sessionAffinity: "ClientIP" }), fronts: ["cluster"] },
  nodeport: { ports: ALL_PROTOCOLS, spec: () => ({ type: "NodePort" }), fronts: ["cluster", "node"] },
  "nodeport-local": {
    spec: () => ({ type: "NodePort", externalTrafficPolicy: "Local" }),
    fronts: ["cluster", "node"],
  },
  balancer: balancer({}),
  "balancer-local": balancer({ externalTrafficPolicy: "Local" }),
  "balancer-ranges": balancer({ loadBalancerSourceRanges: ["203.0.113.0/24", "2001:db8:203::/64"] }),
  "balancer-local-ranges": balancer({
    externalTrafficPolicy: "Local",
    loadBalancerSourceRanges: ["192.168.50.0/24", "fd50::/64"],
  }),
  "balancer-proxied": balancer({}, "Proxy"),
  "both-local": balancer({ externalTrafficPolicy: "Local", internalTrafficPolicy: "Local" }),
};

interface Numbered {
  readonly name: string;
  readonly kind: Kind;
  readonly kindName: string;
  readonly endpoints: readonly EndpointOf[];
  readonly number: number;
}

const SERVICES: readonly Numbered[] = Object.entries(KINDS).flatMap(([kindName, kind], k) =>
  Object.entries(STATES).map(([state, endpoints], s) => ({
    name: `${kindName}-${state}`,
    kind,
    kindName,
    endpoints,
    number: k * 10 + s + 10,
  })),
);

const CLIENTS: readonly Place[] = ["local1", "local2", "node", "remote1", "external", "peer"];

function casesOf({ name, kind, kindName, number }: Numbered, family: Family): readonly Case[] {
  return kind.fronts.flatMap((front) =>
    portsOf(kind, number).flatMap((port) =>
      addressesOf(front, number, family).flatMap(([label, address]) =>
        CLIENTS.map((client) => ({
          name: `${name} ${label} ${port.protocol ?? "TCP"} IPv${family} from ${client}`,
          client,
          sticky: kindName === "sticky",
          question: {
            protocol: protocolOf(port),
            address,
            port: front === "node" ? (port.nodePort ?? 0) : port.port,
          },
        })),
      ),
    ),
  );
}

/** Ports and addresses of the ServiceCIDRs that nobody serves: nftables mode alone refuses and drops them. */
function outsideOfServices(family: Family): readonly Case[] {
  const served = addressIn(CLUSTER, 10)(family);
  const unassigned = addressIn(CLUSTER, 250)(family);
  return CLIENTS.flatMap((client) =>
    [
      { name: `an unserved port IPv${family} from ${client}`, address: served, port: 81 },
      { name: `an unassigned address IPv${family} from ${client}`, address: unassigned, port: 80 },
    ].map(({ name, address, port }) => ({
      name,
      client,
      sticky: false,
      question: { protocol: "tcp", address, port } as const,
    })),
  );
}

function addressesOf(front: Front, number: number, family: Family): readonly (readonly [string, string])[] {
  switch (front) {
    case "cluster":
      return [["cluster address", addressIn(CLUSTER, number)(family)]];
    case "external":
      return [["external address", addressIn(EXTERNAL, number)(family)]];
    case "balancer":
      return [["balancer's address", addressIn(BALANCER, number)(family)]];
    case "node":
      return [
        ["node port", ADDRESSES.node[family]],
        ["node port on the other address", OUTSIDE[family]],
      ];
  }
}

function addressIn(prefix: Prefix, number: number): (family: Family) => string {
  return (family) => `${prefix[family]}${number}`;
}

/** With the node ports that the kind has: 30000 and on, one a Service and port. */
function portsOf(kind: Kind, number: number): readonly ServicePort[] {
  const ports = kind.ports ?? TCP;
  if (!kind.fronts.includes("node")) return ports;
  return ports.map((port, index) => ({ ...port, nodePort: 30000 + number * 4 + index }));
}

function protocolOf({ protocol = "TCP" }: ServicePort): Question["protocol"] {
  return protocol === "TCP" ? "tcp" : protocol === "UDP" ? "udp" : "sctp";
}
