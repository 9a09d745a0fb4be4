/**
 * Random objects as the API has them, from few names, addresses and ports, so that they meet; some of them broken.
 */
import type { Kind } from "../../../proxy/source/source.ts";
import type { Random } from "./random.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** An object, and what a source calls it. */
export interface Raw {
  readonly kind: Kind;
  readonly key: string;
  readonly object: Json;
}

export const NODE = "here";
const NAMESPACES = ["a", "b"];
const SERVICES = ["web", "dns"];
const NODES = [NODE, "there", "elsewhere"];
const ZONES = ["z1", "z2", "z3"];
const PORT_NAMES = ["", "http", "dns"];
const CLUSTER_IPS = {
  4: ["10.96.0.1", "10.96.0.2", "10.96.0.3", "010.96.0.4"],
  6: ["fd00:96::1", "FD00:96:0::2", "fd00:96::3"],
};
const EXTERNAL_IPS = ["192.0.2.1", "192.0.2.2", "10.96.0.1", "2001:db8::1", "2001:db8:0::1", "fd00:96::1"];
const ENDPOINTS = {
  4: ["10.244.1.1", "10.244.1.2", "10.244.2.1", "10.244.2.2"],
  6: ["fd00:244::1", "fd00:244::2", "FD00:244:0::3"],
};
const RANGES = [
  "192.0.2.0/24",
  " 192.0.2.128/25",
  "198.51.100.0/24",
  "0.0.0.0/0",
  "2001:db8::/32",
  "::/0",
  "10.0.0.1/8",
];
const BROKEN: readonly Json[] = [5, "x", true, [], {}, [5], "10.0.0.300", -1, 70000, 1.5];

/** What the objects of one seed have in common: where all is at random, little ever fits together. */
export interface Mood {
  readonly namespaces: readonly string[];
  readonly services: readonly string[];
  readonly families: readonly (4 | 6)[];
  readonly portNames: readonly (string | undefined)[];
  readonly protocols: readonly (string | undefined)[];
  /** How many endpoints have hints. */
  readonly hinted: number;
  /** How many objects have a broken place. */
  readonly broken: number;
}

/** In plain ones nearly everything fits, so that what happens is decided by conditions, hints and policies. */
export function randomMood(random: Random): Mood {
  const plain = random.chance(0.5);
  return {
    namespaces: random.of(plain ? [["a"]] : [["a"], NAMESPACES]),
    services: random.of([["web"], SERVICES]),
    families: random.of(plain ? [[4]] : [[4], [4, 6]]),
    portNames: random.of(plain ? [[""]] : [[""], ["", undefined, "http"], [undefined, ...PORT_NAMES]]),
    protocols: random.of(
      plain
        ? [["TCP"], ["UDP"]]
        : [
            ["UDP", undefined],
            [undefined, "TCP", "UDP", "SCTP"],
          ],
    ),
    hinted: random.of([0, 0.6, 1, 1]),
    broken: random.of(plain ? [0] : [0, 0, 0.1, 0.3]),
  };
}

/** One random object. */
export function randomRaw(random: Random, mood: Mood): Raw {
  const roll = random.next();
  if (roll < 0.3) return randomService(random, mood);
  if (roll < 0.8) return randomSlice(random, mood);
  if (roll < 0.95) return randomNode(random, mood);
  return randomServiceCidr(random, mood);
}

/** The same object with a small change, as most updates are: an endpoint more or less or in another state, one other field. */
export function tweaked(random: Random, mood: Mood, raw: Raw): Raw {
  const fresh = freshOf(random, mood, raw.kind).object;
  const { object } = raw;
  if (!isContainer(object) || !isContainer(fresh)) return raw;
  if (raw.kind === "EndpointSlice" && Array.isArray(object.endpoints)) {
    return { ...raw, object: { ...object, endpoints: tweakedEndpoints(random, mood, object.endpoints) } };
  }
  const part = random.of(["spec", "spec", "status", "metadata"]);
  const [mine, other] = [object[part] ?? null, fresh[part] ?? null];
  if (!isContainer(mine) || !isContainer(other)) return raw;
  const keys = Object.keys(other).filter((key) => key !== "name" && key !== "namespace");
  if (keys.length === 0) return raw;
  const key = random.of(keys);
  return { ...raw, object: { ...object, [part]: { ...mine, [key]: other[key] } } };
}

function tweakedEndpoints(random: Random, mood: Mood, endpoints: readonly Json[]): readonly Json[] {
  const at = random.below(endpoints.length + 1);
  const old = endpoints[at] ?? null;
  const family = JSON.stringify(endpoints).includes("::") ? 6 : 4;
  const fresh = randomEndpoint(random, mood, family);
  if (old === null || random.chance(0.2)) return [...endpoints, fresh];
  if (random.chance(0.3) || !isContainer(old) || !isContainer(fresh)) return endpoints.filter((_, i) => i !== at);
  return endpoints.with(at, { ...fresh, addresses: old.addresses });
}

function freshOf(random: Random, mood: Mood, kind: Kind): Raw {
  if (kind === "Service") return randomService(random, mood);
  if (kind === "EndpointSlice") return randomSlice(random, mood);
  return kind === "Node" ? randomNode(random, mood) : randomServiceCidr(random, mood);
}

function randomServiceCidr(random: Random, mood: Mood): Raw {
  const name = random.of(["kubernetes", "more"]);
  const cidrs = random.some(["10.96.0.0/16", "fd00:96::/112", "10.97.0.9/24"], 2);
  return { kind: "ServiceCIDR", key: name, object: maybeBroken(random, mood, { metadata: { name }, spec: { cidrs } }) };
}

function randomService(random: Random, mood: Mood): Raw {
  const [namespace, name] = [random.of(mood.namespaces), random.of(mood.services)];
  const families = mood.families.length === 1 ? mood.families : random.of([[4], [6], [4, 6], [6, 4]] as const);
  const clusterIPs = families.map((family) => random.of(CLUSTER_IPS[family]));
  const headless = random.chance(0.04);
  const object = {
    metadata: {
      namespace,
      name,
      creationTimestamp: random.of([undefined, "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"]),
      labels: random.chance(0.04)
        ? { "service.kubernetes.io/service-proxy-name": random.of(["", "other"]) }
        : undefined,
    },
    spec: {
      type: random.of(
        [undefined, "ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer", "ExternalName"].slice(
          0,
          random.chance(0.05) ? 6 : 5,
        ),
      ),
      clusterIP: headless ? "None" : clusterIPs[0],
      clusterIPs: random.chance(0.1) ? undefined : headless ? ["None"] : clusterIPs,
      ports: Array.from({ length: 1 + random.below(2) }, () => randomServicePort(random, mood)),
      externalIPs: random.chance(0.4) ? random.some([...EXTERNAL_IPS, "", "nowhere"], 3) : undefined,
      loadBalancerSourceRanges: random.chance(0.3) ? random.some([...RANGES, "10.0.0.0/33"], 3) : undefined,
      internalTrafficPolicy: random.of([undefined, "Cluster", "Local"]),
      externalTrafficPolicy: random.of([undefined, "Cluster", "Local"]),
      healthCheckNodePort: random.of([undefined, 0, 32000]),
      ...random.of<object>([
        {},
        { sessionAffinity: "None" },
        { sessionAffinity: "ClientIP" },
        affinity(random.of([60, 86400, 0])),
      ]),
    },
    status: random.chance(0.5) ? { loadBalancer: { ingress: random.some(INGRESS, 3) } } : undefined,
  };
  return { kind: "Service", key: `${namespace}/${name}`, object: maybeBroken(random, mood, object) };
}

const INGRESS = [
  { ip: "192.0.2.1" },
  { ip: "192.0.2.3", ipMode: "VIP" },
  { ip: "192.0.2.4", ipMode: "Proxy" },
  { ip: "2001:db8::1" },
  { hostname: "lb.example" },
  { ip: "nowhere" },
];

function affinity(timeoutSeconds: number): object {
  return { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
}

function randomServicePort(random: Random, mood: Mood): Json {
  return {
    name: random.of(mood.portNames),
    protocol: random.of(mood.protocols),
    port: random.of([53, 80]),
    nodePort: random.of([undefined, undefined, 0, 30053, 30080]),
  };
}

function randomSlice(random: Random, mood: Mood): Raw {
  const [namespace, service] = [random.of(mood.namespaces), random.of(mood.services)];
  const name = `slice-${random.below(3)}`;
  const family = random.of(mood.families);
  const labels = {
    "kubernetes.io/service-name": random.chance(0.97) ? service : undefined,
    "service.kubernetes.io/headless": random.chance(0.03) ? "" : undefined,
  };
  const object = {
    metadata: { namespace, name, labels },
    addressType: random.chance(0.03) ? "FQDN" : `IPv${family}`,
    ports: random.chance(0.03)
      ? null
      : Array.from({ length: 1 + random.below(3) }, () => randomSlicePort(random, mood)),
    endpoints: random.chance(0.05)
      ? null
      : Array.from({ length: random.chance(0.1) ? 0 : 1 + random.below(5) }, () =>
          randomEndpoint(random, mood, family),
        ),
  };
  return { kind: "EndpointSlice", key: `${namespace}/${name}`, object: maybeBroken(random, mood, object) };
}

function randomSlicePort(random: Random, mood: Mood): Json {
  return {
    name: random.of(mood.portNames) ?? random.of([undefined, null]),
    protocol: random.of(mood.protocols),
    port: random.chance(0.1) ? random.of([0, null]) : random.of([8053, 8080, 8080]),
  };
}

function randomEndpoint(random: Random, mood: Mood, family: 4 | 6): Json {
  const yes = (probability: number) =>
    random.of([random.chance(probability), random.chance(probability), null, undefined]);
  return {
    addresses: random.chance(0.03) ? [] : [random.of(ENDPOINTS[random.chance(0.03) ? 4 : family]), "10.244.9.9"],
    conditions: random.chance(0.1) ? undefined : { ready: yes(0.6), serving: yes(0.7), terminating: yes(0.3) },
    nodeName: random.of([...NODES, undefined, NODE]),
    hints: random.chance(mood.hinted) ? randomHints(random, mood.hinted === 1 ? 1 : 0) : random.of([null, undefined]),
  };
}

function randomHints(random: Random, least: number): Json {
  const named = (names: readonly string[]) =>
    [...random.some(names, 2), ...random.some(names, least)].map((name) => ({ name }));
  return {
    forZones: random.chance(0.9) ? named(ZONES) : undefined,
    forNodes: random.chance(0.5) ? named(NODES) : undefined,
  };
}

function randomNode(random: Random, mood: Mood): Raw {
  const addresses = random.some(
    [
      { type: "ExternalIP", address: "198.51.100.7" },
      { type: "InternalIP", address: "192.0.2.200" },
      { type: "InternalIP", address: "2001:db8::200" },
      { type: "Hostname", address: NODE },
      { type: "InternalIP", address: "10.1.1.1" },
    ],
    3,
  );
  const labels = random.chance(0.8) ? { "topology.kubernetes.io/zone": random.of(ZONES) } : {};
  const spec = random.of<Json>([{}, { podCIDRs: ["10.244.1.0/24", "fd00:244::/64"] }, { podCIDR: "10.244.1.0/24" }]);
  return {
    kind: "Node",
    key: NODE,
    object: maybeBroken(random, mood, { metadata: { name: NODE, labels }, spec, status: { addresses } }),
  };
}

/** Sometimes with nonsense at one place; names stay as they are. */
function maybeBroken(random: Random, mood: Mood, object: Json): Json {
  if (!random.chance(mood.broken)) return object;
  const path: string[] = [];
  let at: Json = object;
  while (isContainer(at) && (path.length === 0 || random.chance(0.8))) {
    const keys: readonly string[] = Object.keys(at).filter((key) => path.length > 0 || key !== "metadata");
    if (keys.length === 0) break;
    const key = random.of(keys);
    path.push(key);
    at = at[key] ?? null;
  }
  return path.length === 0 ? object : replaced(object, path, random.of(BROKEN));
}

function isContainer(value: Json): value is { readonly [key: string]: Json | undefined } {
  return typeof value === "object" && value !== null;
}

function replaced(value: Json, [key, ...rest]: readonly string[], by: Json): Json {
  if (key === undefined) return by;
  const container = isContainer(value) ? value : {};
  const inner = replaced(container[key] ?? null, rest, by);
  if (Array.isArray(value)) return value.map((each, i) => (String(i) === key ? inner : each));
  return { ...container, [key]: inner };
}
