/**
 * A Service as the API has it, cut down to what is programmed.
 *
 * Which ones are not for us is decided here and not by a source's selector alone, since a directory of manifests
 * has none.
 *
 * @module
 */
import {
  addressText,
  asObject,
  choiceIn,
  entriesIn,
  type Fields,
  familyOf,
  inField,
  integerIn,
  invalid,
  listIn,
  NONE,
  neededText,
  networkText,
  objectIn,
  type Problems,
  protocolIn,
  textIn,
  usableIn,
} from "./fields.ts";
import type { ServiceObject, ServicePortObject, TrafficPolicy } from "./objects.ts";

/** Somebody else's proxy serves it; so does nobody where the value is empty. */
const PROXY_NAME = "service.kubernetes.io/service-proxy-name";
const POLICIES: readonly TrafficPolicy[] = ["Cluster", "Local"];
/** Of `sessionAffinityConfig.clientIP.timeoutSeconds`: three hours. */
const DEFAULT_AFFINITY_SECONDS = 10800;
const MAX_AFFINITY_SECONDS = 86400;

/**
 * Reads a Service (v1). Undefined if there is nothing to program: ExternalName, headless, without an address as yet,
 * or another proxy's.
 *
 * @param problems is told of each optional entry that is left out: an external address, a source range, a second
 *   port of the same name.
 * @throws TsnetError `invalid`, naming the field.
 */
export function parseService(raw: unknown, problems?: Problems): ServiceObject | undefined {
  const object = asObject(raw);
  const metadata = objectIn(object, "metadata");
  const labels = inField("metadata", () => objectIn(metadata, "labels"));
  if (labels[PROXY_NAME] !== undefined) return undefined;
  const spec = objectIn(object, "spec");
  const status = objectIn(object, "status");
  const balancing = inField("status", () => parseBalancing(status, prefixed("status", problems)));
  const identity = inField("metadata", () => ({
    namespace: textIn(metadata, "namespace") ?? "default",
    name: neededText(metadata, "name"),
    createdAt: timeIn(metadata, "creationTimestamp"),
  }));
  const specified = inField("spec", () => parseSpec(spec, prefixed("spec", problems)));
  if (specified === undefined) return undefined;
  // Written out: an object made by spreading others takes more room, and there may be 50,000 of them.
  return {
    namespace: identity.namespace,
    name: identity.name,
    createdAt: identity.createdAt,
    clusterIPs: specified.clusterIPs,
    ports: specified.ports,
    externalIPs: specified.externalIPs,
    loadBalancerIPs: balancing,
    sourceRanges: specified.sourceRanges,
    healthCheckNodePort: specified.healthCheckNodePort,
    internalPolicy: specified.internalPolicy,
    externalPolicy: specified.externalPolicy,
    affinitySeconds: specified.affinitySeconds,
  };
}

type Specified = Omit<ServiceObject, "namespace" | "name" | "createdAt" | "loadBalancerIPs">;

function parseSpec(spec: Fields, problems: Problems | undefined): Specified | undefined {
  const type = choiceIn(spec, "type", ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]) ?? "ClusterIP";
  if (type === "ExternalName") return undefined;
  const clusterIPs = parseClusterIPs(spec);
  if (clusterIPs === undefined) return undefined;
  const external = type !== "ClusterIP" || listIn(spec, "externalIPs").length > 0;
  const wished = choiceIn(spec, "externalTrafficPolicy", POLICIES) ?? "Cluster";
  const externalPolicy = external ? wished : "Cluster";
  const checked = type === "LoadBalancer" && externalPolicy === "Local";
  return {
    clusterIPs,
    ports: parsePorts(spec, problems),
    externalIPs: distinct(usableIn(spec, "externalIPs", addressUnlessEmpty, problems)),
    sourceRanges: parseSourceRanges(spec, problems),
    healthCheckNodePort: checked ? portIn(spec, "healthCheckNodePort") : undefined,
    internalPolicy: choiceIn(spec, "internalTrafficPolicy", POLICIES) ?? "Cluster",
    externalPolicy,
    affinitySeconds: parseAffinity(spec),
  };
}

/** At most one a family; undefined for a service that has none. */
function parseClusterIPs(spec: Fields): readonly string[] | undefined {
  const first = textIn(spec, "clusterIP") ?? "";
  if (first === "None") return undefined;
  const all = entriesIn(spec, "clusterIPs", (value) => (value === "None" ? undefined : addressText(value)));
  const texts = all.length > 0 ? all : first === "" ? NONE : [inField("clusterIP", () => addressText(first))];
  const one = texts.find((text) => text !== undefined);
  if (one === undefined) return undefined;
  const other = texts.find((text) => text !== undefined && familyOf(text) !== familyOf(one));
  return other === undefined ? [one] : [one, other];
}

function parsePorts(spec: Fields, problems: Problems | undefined): readonly ServicePortObject[] {
  const ports = entriesIn(spec, "ports", parsePort);
  if (ports.length < 2) return ports;
  const names = new Set<string>();
  return ports.filter(({ name }, i) => {
    if (names.has(name)) problems?.(`ports[${i}].name: another port has the name ${JSON.stringify(name)}`);
    return names.size !== names.add(name).size;
  });
}

function parsePort(value: unknown): ServicePortObject {
  const fields = asObject(value);
  const port = portIn(fields, "port");
  if (port === undefined) throw invalid("port", "is missing");
  return {
    name: textIn(fields, "name") ?? "",
    protocol: protocolIn(fields),
    port,
    nodePort: portIn(fields, "nodePort"),
  };
}

/** A port number; undefined if it is absent or 0, which is how the API leaves one out. */
function portIn(fields: Fields, key: string): number | undefined {
  return integerIn(fields, key, 0, 65535) || undefined;
}

/** If none of those given can be read, everybody would be let in, so that is an error of the whole. */
function parseSourceRanges(spec: Fields, problems: Problems | undefined): readonly string[] {
  const given = listIn(spec, "loadBalancerSourceRanges");
  if (given.length === 0) return NONE;
  const ranges = usableIn(spec, "loadBalancerSourceRanges", networkText, problems);
  if (ranges.length === 0) {
    throw invalid("loadBalancerSourceRanges", "has no valid CIDR, and without any all clients would be let in");
  }
  return distinct(ranges);
}

function parseAffinity(spec: Fields): number | undefined {
  if ((choiceIn(spec, "sessionAffinity", ["None", "ClientIP"]) ?? "None") === "None") return undefined;
  return inField("sessionAffinityConfig.clientIP", () => {
    const config = objectIn(objectIn(spec, "sessionAffinityConfig"), "clientIP");
    return integerIn(config, "timeoutSeconds", 1, MAX_AFFINITY_SECONDS) ?? DEFAULT_AFFINITY_SECONDS;
  });
}

/** Addresses of `loadBalancer.ingress`, but for those whose balancer is a proxy: it wants the packets for itself. */
function parseBalancing(status: Fields, problems: Problems | undefined): readonly string[] {
  return inField("loadBalancer", () => {
    const ingress = (value: unknown) => {
      const entry = asObject(value);
      const mode = textIn(entry, "ipMode") ?? "VIP";
      return mode === "VIP" ? addressUnlessEmpty(textIn(entry, "ip") ?? "") : undefined;
    };
    return distinct(usableIn(objectIn(status, "loadBalancer"), "ingress", ingress, prefixed("loadBalancer", problems)));
  });
}

/** Empty ones are passed over as kube-proxy does: the API server let them in once. */
function addressUnlessEmpty(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() === "" ? undefined : addressText(value);
}

function distinct(texts: readonly string[]): readonly string[] {
  return texts.length < 2 ? texts : [...new Set(texts)];
}

/** RFC 3339 in ms since 1970; 0 where there is none. */
function timeIn(fields: Fields, key: string): number {
  const value = fields[key];
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? 0 : time;
}

function prefixed(field: string, problems: Problems | undefined): Problems | undefined {
  return problems && ((text) => problems(`${field}.${text}`));
}
