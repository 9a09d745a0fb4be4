/**
 * What a proxy has to do by the objects that there are, found the slow and simple way: everything at once, from raw
 * objects to lists of text. It shares no code with what it judges.
 */
import { isIPv4, isIPv6 } from "node:net";
import IpCidr from "ip-cidr";
import type { Raw } from "./objects.ts";
import { NODE } from "./objects.ts";

type Family = 4 | 6;
type Dict = Record<string, unknown>;

export interface ExpectedRules {
  readonly protocol: string;
  /** `kind address port policy ranges`, sorted. */
  readonly frontends: readonly string[];
  /** `address port local`, sorted. */
  readonly endpoints: readonly string[];
  readonly local: readonly string[];
  readonly served: boolean;
  readonly affinity: number | undefined;
  /** `address port` of those that keep UDP flows, sorted. */
  readonly flows: readonly string[];
}

export interface Expected {
  /** By family, by rule name. */
  readonly rules: ReadonlyMap<Family, ReadonlyMap<string, ExpectedRules>>;
  /** By service: `port count`. */
  readonly healthChecks: ReadonlyMap<string, string>;
  readonly noLocal: { readonly internal: number; readonly external: number };
  /** `kind key`. */
  readonly malformed: readonly string[];
  /** By family, as text. */
  readonly facts: ReadonlyMap<Family, string>;
}

class Broken extends Error {}

// One for all: to make an error is slow, and there are very many.
const BROKEN = new Broken();

function broken(): never {
  throw BROKEN;
}

/** Few texts come again and again, and ip-cidr computes slowly. */
function remembered<T>(compute: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const answer = known.get(text) ?? compute(text);
    known.set(text, answer);
    return answer;
  };
}

const cidrOf = remembered((text) => (IpCidr.isValidCIDR(text) ? new IpCidr(text) : "none"));
const networkOf = remembered((text) => {
  const cidr = cidrOf(text);
  return cidr === "none" ? "none" : `${address(String(cidr.start()))}/${text.split("/")[1]}`;
});

function dict(value: unknown): Dict {
  if (value === undefined || value === null) return {};
  return typeof value === "object" && !Array.isArray(value) ? { ...value } : broken();
}

function entry(value: unknown): Dict {
  return value === undefined || value === null ? broken() : dict(value);
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : broken();
}

function text(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : broken();
}

function word(value: unknown, ...allowed: readonly string[]): string {
  const given = text(value) || allowed[0] || "";
  return allowed.includes(given) ? given : broken();
}

function flag(value: unknown, otherwise: boolean): boolean {
  if (value === undefined || value === null) return otherwise;
  return typeof value === "boolean" ? value : broken();
}

function whole(value: unknown, least: number, most: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= most ? Number(value) : broken();
}

/** Canonical, by the URL parser for IPv6. */
function address(value: unknown): string {
  if (typeof value !== "string") return broken();
  const decimal = value
    .split(".")
    .map((part) => (/^0+\d+$/.test(part) ? String(Number(part)) : part))
    .join(".");
  if (isIPv4(decimal)) return decimal;
  return isIPv6(value) ? new URL(`http://[${value}]`).hostname.slice(1, -1) : broken();
}

function range(value: unknown): string {
  const network = networkOf(text(value).trim());
  return network === "none" ? broken() : network;
}

function familyOf(one: string): Family {
  return one.includes(":") ? 6 : 4;
}

const holding = remembered((both) => {
  const [cidr = "", what = ""] = both.split(" ");
  return new IpCidr(cidr).contains(what);
});

function holds(cidr: string, what: string): boolean {
  return familyOf(cidr) === familyOf(what) && holding(`${cidr} ${what}`);
}

/** Without the entries that are broken. */
function good<T>(values: readonly unknown[], read: (value: unknown) => T): readonly T[] {
  return values.flatMap((value) => {
    try {
      return [read(value)];
    } catch (error) {
      if (error instanceof Broken) return [];
      throw error;
    }
  });
}

interface Port {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  readonly nodePort: number | undefined;
}

interface Service {
  readonly key: string;
  readonly age: number;
  readonly clusterIPs: readonly string[];
  readonly ports: readonly Port[];
  readonly loadBalancers: readonly string[];
  readonly externalIPs: readonly string[];
  readonly ranges: readonly string[];
  readonly internal: string;
  readonly external: string;
  readonly health: number | undefined;
  readonly affinity: number | undefined;
}

function readService(key: string, raw: unknown): Service | undefined {
  const { metadata, spec: rawSpec, status } = entry(raw);
  if (dict(dict(metadata).labels)["service.kubernetes.io/service-proxy-name"] !== undefined) return undefined;
  const spec = dict(rawSpec);
  const ingress = list(dict(dict(status).loadBalancer).ingress);
  const loadBalancers = good(ingress, (value) => {
    const each = entry(value);
    if ((text(each.ipMode) || "VIP") !== "VIP" || text(each.ip).trim() === "") return "";
    return address(each.ip);
  }).filter((ip) => ip !== "");
  const type = word(spec.type, "ClusterIP", "NodePort", "LoadBalancer", "ExternalName");
  if (type === "ExternalName") return undefined;
  if (text(spec.clusterIP) === "None") return undefined;
  const given = list(spec.clusterIPs);
  const all = given.length > 0 ? given : text(spec.clusterIP) === "" ? [] : [spec.clusterIP];
  const clusterIPs = all.filter((ip) => ip !== "None").map(address);
  if (clusterIPs.length === 0) return undefined;
  const policy = word(spec.externalTrafficPolicy, "Cluster", "Local");
  const external = type === "ClusterIP" && list(spec.externalIPs).length === 0 ? "Cluster" : policy;
  const needsHealth = type === "LoadBalancer" && external === "Local";
  const rawRanges = list(spec.loadBalancerSourceRanges);
  const ranges = good(rawRanges, range);
  if (rawRanges.length > 0 && ranges.length === 0) broken();
  const sticky = word(spec.sessionAffinity, "None", "ClientIP") === "ClientIP";
  const ports = list(spec.ports).map(readPort);
  return {
    key,
    age: Date.parse(String(dict(metadata).creationTimestamp ?? "1970-01-01T00:00:00Z")),
    clusterIPs,
    ports: ports.filter(({ name }, i) => ports.findIndex((other) => other.name === name) === i),
    loadBalancers,
    externalIPs: good(list(spec.externalIPs), (value) =>
      typeof value === "string" && value.trim() === "" ? "" : address(value),
    ).filter((ip) => ip !== ""),
    ranges,
    internal: word(spec.internalTrafficPolicy, "Cluster", "Local"),
    external,
    health: needsHealth ? whole(spec.healthCheckNodePort, 0, 65535) || undefined : undefined,
    affinity: sticky
      ? (whole(dict(dict(spec.sessionAffinityConfig).clientIP).timeoutSeconds, 1, 86400) ?? 10800)
      : undefined,
  };
}

function readPort(value: unknown): Port {
  const { name, protocol, port, nodePort } = entry(value);
  return {
    name: text(name),
    protocol: word(protocol, "TCP", "UDP", "SCTP").toLowerCase(),
    port: whole(port, 0, 65535) || broken(),
    nodePort: whole(nodePort, 0, 65535) || undefined,
  };
}

interface Endpoint {
  readonly port: string;
  readonly place: string;
  readonly address: string;
  readonly local: boolean;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

interface Slice {
  readonly key: string;
  readonly service: string;
  readonly family: Family;
  /** One for each port. */
  readonly endpoints: readonly Endpoint[];
}

function readSlice(key: string, raw: unknown): Slice | undefined {
  const { metadata, addressType, ports: rawPorts, endpoints: rawEndpoints } = entry(raw);
  const labels = dict(dict(metadata).labels);
  const service = text(labels["kubernetes.io/service-name"]);
  if (labels["service.kubernetes.io/headless"] !== undefined || service === "") return undefined;
  const type = text(addressType);
  if (type === "FQDN") return undefined;
  const family = type === "IPv4" ? 4 : type === "IPv6" ? 6 : broken();
  const ports = good(list(rawPorts), (value) => {
    const { name, protocol, port } = entry(value);
    const number = whole(port, 0, 65535) ?? 0;
    if (number === 0) return undefined;
    return { id: `${text(name)} ${word(protocol, "TCP", "UDP", "SCTP").toLowerCase()}`, number };
  }).filter((port) => port !== undefined);
  const endpoints = good(list(rawEndpoints), (value) => {
    const { addresses, conditions: rawConditions, nodeName, hints: rawHints } = entry(value);
    const ip = address(list(addresses)[0]);
    if (familyOf(ip) !== family) broken();
    const conditions = dict(rawConditions);
    const hints = dict(rawHints);
    const names = (of: unknown) => list(of).map((each) => text(entry(each).name) || broken());
    return {
      address: ip,
      local: text(nodeName) === NODE,
      ready: flag(conditions.ready, true),
      serving: flag(conditions.serving, true),
      terminating: flag(conditions.terminating, false),
      zones: names(hints.forZones),
      nodes: names(hints.forNodes),
    };
  });
  const pairs = ports.flatMap(({ id, number }) =>
    endpoints.map((each) => ({ ...each, port: id, place: `${each.address} ${number}` })),
  );
  return { key, service: `${key.split("/")[0]}/${service}`, family, endpoints: pairs };
}

/** Of those at one place: going ones last, then local, ready and serving ones first. */
function merged(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const credit = (e: Endpoint) => (e.terminating ? 0 : 8) + (e.local ? 4 : 0) + (e.ready ? 2 : 0) + (e.serving ? 1 : 0);
  const best = new Map<string, Endpoint>();
  for (const each of endpoints) {
    const known = best.get(each.place);
    if (known === undefined || credit(each) > credit(known)) best.set(each.place, each);
  }
  return [...best.values()];
}

function usable(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const ready = endpoints.filter((e) => e.ready);
  return ready.length > 0 ? ready : endpoints.filter((e) => e.serving && e.terminating);
}

function near(endpoints: readonly Endpoint[], zone: string | undefined): readonly Endpoint[] {
  const ready = endpoints.filter((e) => e.ready);
  if (ready.length === 0) return usable(endpoints);
  const here = ready.filter((e) => e.nodes.includes(NODE));
  if (ready.every((e) => e.nodes.length > 0) && here.length > 0) return here;
  const inZone = ready.filter((e) => zone !== undefined && e.zones.includes(zone));
  return ready.every((e) => e.zones.length > 0) && inZone.length > 0 ? inZone : ready;
}

interface Node {
  readonly zone: string | undefined;
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly string[];
}

function readNode(raw: unknown): Node {
  const { metadata, spec, status } = entry(raw);
  const zone = dict(dict(metadata).labels)["topology.kubernetes.io/zone"];
  const entries = good(list(dict(status).addresses), (value) => {
    const { type, address: ip } = entry(value);
    return text(type) === "InternalIP" || text(type) === "ExternalIP" ? { type, ip: address(ip) } : { type, ip: "" };
  }).filter(({ ip }) => ip !== "");
  const sorted = [
    ...entries.filter(({ type }) => type === "InternalIP"),
    ...entries.filter(({ type }) => type !== "InternalIP"),
  ];
  const firsts = ([4, 6] as const).flatMap((family) => sorted.find(({ ip }) => familyOf(ip) === family)?.ip ?? []);
  const cidrs = good(list(dict(spec).podCIDRs), range);
  const one = text(dict(spec).podCIDR);
  for (const taint of list(dict(spec).taints)) entry(taint);
  return {
    zone: zone === undefined ? undefined : text(zone),
    addresses: firsts,
    podCIDRs: cidrs.length > 0 || one === "" ? cidrs : [range(one)],
  };
}

/** One frontend that a port would like to have. */
interface Wish {
  readonly service: Service;
  readonly port: Port;
  readonly kind: string;
  readonly address: string;
  readonly number: number;
}

function wishesOf(service: Service, port: Port, family: Family): readonly Wish[] {
  const ofFamily = (ips: readonly string[]) => ips.filter((ip) => familyOf(ip) === family);
  const [clusterIP] = ofFamily(service.clusterIPs);
  if (clusterIP === undefined) return [];
  const wish = (kind: string, ip: string, number: number): Wish => ({ service, port, kind, address: ip, number });
  const all = [
    wish("clusterIP", clusterIP, port.port),
    ...ofFamily(service.loadBalancers).map((ip) => wish("loadBalancer", ip, port.port)),
    ...ofFamily(service.externalIPs).map((ip) => wish("externalIP", ip, port.port)),
    ...(port.nodePort === undefined ? [] : [wish("nodePort", "", port.nodePort)]),
  ];
  return all.filter((each, i) => all.findIndex((other) => other.address === each.address) === i);
}

/** Older services first, and cluster IPs before all else. */
function granted(services: readonly Service[], family: Family): readonly Wish[] {
  const inOrder = [...services].sort((a, b) => a.age - b.age || (a.key < b.key ? -1 : 1));
  const taken = new Set<string>();
  const take = ({ address: ip, number, port }: Wish) => {
    const key = `${ip} ${port.protocol} ${number}`;
    return taken.has(key) ? false : taken.add(key) !== undefined;
  };
  const wishes = inOrder.flatMap((service) => service.ports.map((port) => wishesOf(service, port, family)));
  const alive = wishes.filter(([clusterIP]) => clusterIP !== undefined && take(clusterIP));
  return alive.flatMap(([clusterIP, ...others]) => [...(clusterIP ? [clusterIP] : []), ...others.filter(take)]);
}

function rangesOf({ service, address: vip, kind }: Wish, node: Node): string {
  const ranges = service.ranges.filter((each) => familyOf(each) === familyOf(vip));
  if (kind !== "loadBalancer" || ranges.length === 0 || ranges.some((each) => each.endsWith("/0"))) return "all";
  const own = node.addresses.some((ip) => ranges.some((each) => holds(each, ip)));
  const hosts = own ? [`${vip}/${familyOf(vip) === 4 ? 32 : 128}`] : [];
  const all = [...new Set([...ranges, ...hosts])];
  // A network is in another if that holds its address and is not the smaller one.
  const needless = (one: string) =>
    all.some(
      (other) =>
        other !== one &&
        Number(other.split("/")[1]) < Number(one.split("/")[1]) &&
        holds(other, one.split("/")[0] ?? ""),
    );
  return all
    .filter((one) => !needless(one))
    .sort()
    .join(",");
}

function placesOf(endpoints: readonly Endpoint[]): readonly string[] {
  return endpoints.map((e) => `${e.place}${e.local ? " local" : ""}`).sort();
}

/** What has to be programmed on node {@link NODE}, with all of `objects` there. */
export function expected(objects: readonly Raw[]): Expected {
  const malformed: string[] = [];
  const read = <T>(kind: string, parse: (key: string, raw: unknown) => T | undefined): readonly T[] =>
    [...objects]
      .filter((raw) => raw.kind === kind)
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .flatMap(({ key, object }) => {
        try {
          return parse(key, object) ?? [];
        } catch (error) {
          if (!(error instanceof Broken)) throw error;
          malformed.push(`${kind} ${key}`);
          return [];
        }
      });
  const services = read("Service", readService);
  const slices = read("EndpointSlice", readSlice);
  const [node = { zone: undefined, addresses: [], podCIDRs: [] }] = read("Node", (_, raw) => readNode(raw));
  const cidrs = read("ServiceCIDR", (_, raw) => list(dict(entry(raw).spec).cidrs).map(range)).flat();
  const noLocal = { internal: 0, external: 0 };
  const endpointsOf = ({ key }: Service, port: Port, family: Family) =>
    merged(
      slices
        .filter((slice) => slice.service === key && slice.family === family)
        .flatMap((slice) => slice.endpoints.filter((each) => each.port === `${port.name} ${port.protocol}`)),
    );
  const rulesOf = (family: Family) => {
    const rules = new Map<string, ExpectedRules>();
    for (const [port, wishes] of Map.groupBy(granted(services, family), (wish) => wish.port)) {
      const [first = broken()] = wishes;
      const { service } = first;
      const all = endpointsOf(service, port, family);
      const policyOf = ({ kind }: Wish) => (kind === "clusterIP" ? service.internal : service.external);
      const frontends = wishes
        .map((w) => `${w.kind} ${w.address} ${w.number} ${policyOf(w)} ${rangesOf(w, node)}`)
        .sort();
      const anyCluster = wishes.some((wish) => wish.kind !== "clusterIP" || policyOf(wish) === "Cluster");
      const localWishes = wishes.filter((wish) => policyOf(wish) === "Local");
      const local = localWishes.length > 0 ? usable(all.filter((each) => each.local)) : [];
      const served = usable(all).length > 0;
      if (served && local.length === 0) {
        if (localWishes.some(({ kind }) => kind === "clusterIP")) noLocal.internal++;
        if (localWishes.some(({ kind }) => kind !== "clusterIP")) noLocal.external++;
      }
      rules.set(port.name === "" ? service.key : `${service.key}:${port.name}`, {
        protocol: port.protocol,
        frontends,
        endpoints: anyCluster ? placesOf(near(all, node.zone)) : [],
        local: placesOf(local),
        served,
        affinity: service.affinity,
        flows: all
          .filter((each) => each.ready || each.serving)
          .map(({ place }) => place)
          .sort(),
      });
    }
    return rules;
  };
  const healthOf = (service: Service) => {
    const counts = ([4, 6] as const).map(
      (family) =>
        new Set(
          service.ports
            .flatMap((port) => endpointsOf(service, port, family))
            .filter((each) => each.local && each.ready)
            .map((each) => each.address),
        ).size,
    );
    return `${service.health} ${Math.max(...counts)}`;
  };
  const factsOf = (family: Family) => {
    const ofFamily = (texts: readonly string[]) =>
      [...new Set(texts.filter((each) => familyOf(each) === family))].sort().join(",");
    return `${ofFamily(cidrs)} | ${ofFamily(node.addresses)} | ${ofFamily(node.podCIDRs)}`;
  };
  return {
    rules: new Map(([4, 6] as const).map((family) => [family, rulesOf(family)])),
    healthChecks: new Map(
      services.filter(({ health }) => health !== undefined).map((each) => [each.key, healthOf(each)]),
    ),
    noLocal,
    malformed: malformed.sort(),
    facts: new Map(([4, 6] as const).map((family) => [family, factsOf(family)])),
  };
}
