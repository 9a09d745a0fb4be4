/**
 * Services and endpoints for a proxy that reads a directory of manifests, told in few words, dual stack: what is said
 * of a {@link Svc} holds for both families.
 *
 * @module
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ADDRESSES, type Family, farm, NODE_NAME, PEER_NAME, POD_CIDRS, type Pod, SERVICE_CIDRS } from "./world.ts";

export interface SvcPort {
  readonly name?: string;
  readonly protocol?: "tcp" | "udp" | "sctp";
  readonly port?: number;
  readonly target?: number;
  readonly nodePort?: number;
}

export interface Svc {
  readonly name: string;
  /** Its cluster IPs are 10.96.1.n and fd00:10:96::1:n (n in hexadecimal). */
  readonly n: number;
  /** TCP port 80 to 8080 unless said otherwise. */
  readonly ports?: readonly SvcPort[];
  /** Both, unless said. */
  readonly family?: Family;
  /** 192.0.2.n, 2001:db8:2::n; or the node's own addresses. */
  readonly externalIP?: boolean | "node";
  /** 198.51.100.n, 2001:db8:51::n. */
  readonly loadBalancer?: boolean | "ipMode Proxy";
  readonly sourceRanges?: readonly string[];
  readonly internal?: "Local";
  readonly external?: "Local";
  readonly affinitySeconds?: number;
  readonly endpoints: readonly (Pod | Ep)[];
}

export interface Ep {
  /** Or `n` of the farm that is behind local1, or a pod of a node's own network. */
  readonly pod: Pod | number | "node" | "peer";
  readonly ready?: boolean | null;
  readonly serving?: boolean | null;
  readonly terminating?: boolean | null;
  readonly zones?: readonly string[];
  readonly nodes?: readonly string[];
}

/** The zone of the node. */
export const ZONE = "here";

export type Kind = "clusterIP" | "externalIP" | "loadBalancer" | "nodePort";

const PREFIXES: Readonly<Record<Exclude<Kind, "nodePort">, Readonly<Record<Family, string>>>> = {
  // An API server keeps the first address of its range for itself.
  clusterIP: { 4: "10.96.1.", 6: "fd00:10:96::1:" },
  externalIP: { 4: "192.0.2.", 6: "2001:db8:2::" },
  loadBalancer: { 4: "198.51.100.", 6: "2001:db8:51::" },
};

/** An address of a service; for node ports the node's own. */
export function addressOf(svc: { readonly n: number }, kind: Kind, family: Family): string {
  if (kind === "nodePort") return ADDRESSES.node[family];
  return `${PREFIXES[kind][family]}${svc.n.toString(family === 4 ? 10 : 16)}`;
}

const FAMILIES: readonly Family[] = [4, 6];

/** The Service and its EndpointSlices, one a family. */
export function objectsOf(svc: Svc): readonly object[] {
  return [serviceOf(svc), ...familiesOf(svc).map((family) => sliceOf(svc, family))];
}

function familiesOf({ family }: Svc): readonly Family[] {
  return family === undefined ? FAMILIES : [family];
}

function serviceOf(svc: Svc): object {
  const ports = svc.ports ?? [{}];
  const balanced = svc.loadBalancer !== undefined && svc.loadBalancer !== false;
  const type = balanced ? "LoadBalancer" : ports.some(({ nodePort }) => nodePort) ? "NodePort" : "ClusterIP";
  const ipMode = svc.loadBalancer === "ipMode Proxy" ? { ipMode: "Proxy" } : {};
  const families = familiesOf(svc);
  const ips = (kind: Kind) => families.map((family) => addressOf(svc, kind, family));
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "default", name: svc.name },
    spec: {
      type,
      clusterIP: ips("clusterIP")[0],
      clusterIPs: ips("clusterIP"),
      ipFamilies: families.map((family) => `IPv${family}`),
      ports: ports.map(portOf),
      externalIPs: svc.externalIP ? ips(svc.externalIP === "node" ? "nodePort" : "externalIP") : [],
      internalTrafficPolicy: svc.internal ?? "Cluster",
      ...(type === "ClusterIP" && !svc.externalIP ? {} : { externalTrafficPolicy: svc.external ?? "Cluster" }),
      ...(svc.sourceRanges === undefined ? {} : { loadBalancerSourceRanges: svc.sourceRanges }),
      ...affinityOf(svc),
    },
    status: { loadBalancer: balanced ? { ingress: ips("loadBalancer").map((ip) => ({ ip, ...ipMode })) } : {} },
  };
}

function affinityOf({ affinitySeconds }: Svc): object {
  if (affinitySeconds === undefined) return { sessionAffinity: "None" };
  const sessionAffinityConfig = { clientIP: { timeoutSeconds: affinitySeconds } };
  return { sessionAffinity: "ClientIP", sessionAffinityConfig };
}

function portOf({ name, protocol = "tcp", port = 80, target = 8080, nodePort }: SvcPort): object {
  const named = name === undefined ? {} : { name };
  return { ...named, protocol: protocol.toUpperCase(), port, targetPort: target, ...(nodePort ? { nodePort } : {}) };
}

function sliceOf(svc: Svc, family: Family): object {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace: "default",
      name: `${svc.name}-ipv${family}`,
      labels: { "kubernetes.io/service-name": svc.name },
    },
    addressType: `IPv${family}`,
    ports: (svc.ports ?? [{}]).map(({ name = "", protocol = "tcp", target = 8080 }) => {
      return { name, protocol: protocol.toUpperCase(), port: target };
    }),
    endpoints: svc.endpoints.map((endpoint) => endpointOf(endpoint, family)),
  };
}

const REMOTE: ReadonlySet<string> = new Set(["remote1", "remote2", "peer"]);

function endpointOf(endpoint: Pod | Ep, family: Family): object {
  const {
    pod,
    zones,
    nodes,
    ready = true,
    serving = ready,
    terminating = false,
  }: Ep = typeof endpoint === "string" ? { pod: endpoint } : endpoint;
  const hints = {
    ...(zones === undefined ? {} : { forZones: zones.map((name) => ({ name })) }),
    ...(nodes === undefined ? {} : { forNodes: nodes.map((name) => ({ name })) }),
  };
  return {
    addresses: [typeof pod === "number" ? farm(pod, family) : ADDRESSES[pod][family]],
    conditions: { ready, serving, terminating },
    nodeName: typeof pod === "string" && REMOTE.has(pod) ? PEER_NAME : NODE_NAME,
    ...(Object.keys(hints).length === 0 ? {} : { hints }),
  };
}

function nodeObject(): object {
  const addresses = FAMILIES.map((family) => ({ type: "InternalIP", address: ADDRESSES.node[family] }));
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: NODE_NAME, labels: { "topology.kubernetes.io/zone": ZONE } },
    spec: { podCIDR: POD_CIDRS[0], podCIDRs: POD_CIDRS },
    status: { addresses },
  };
}

const SERVICE_CIDR = {
  apiVersion: "networking.k8s.io/v1",
  kind: "ServiceCIDR",
  metadata: { name: "kubernetes" },
  spec: { cidrs: SERVICE_CIDRS },
};

/**
 * A directory of manifests that is one file: replaced as a whole, so that a proxy sees all of a change or nothing.
 *
 * Three services more tell when a change is in place: one of them has an endpoint, and every write makes it the next.
 * Were they two, the one to wait for could still be there from before.
 */
export class Manifests {
  readonly directory = mkdtempSync(join(tmpdir(), "tsnet-manifests-"));
  #services = new Map<string, Svc>();
  #writes = 0;
  /** Of the services that tell: no port that an earlier proxy's rules may still serve. */
  readonly #port = 1024 + Math.floor(Math.random() * 60_000);

  constructor() {
    this.write([]);
  }

  /** Puts these services in the place of all that there were. */
  write(services: readonly Svc[]): void {
    this.#services = new Map(services.map((svc) => [svc.name, svc]));
    this.#writes++;
    const settled = [0, 1, 2].map((n) => this.#settled(n));
    const objects = [nodeObject(), SERVICE_CIDR, ...[...services, ...settled].flatMap(objectsOf)];
    // JSON is YAML: a document each.
    const text = objects.map((object) => `${JSON.stringify(object)}\n`).join("---\n");
    writeFileSync(join(this.directory, ".objects.tmp"), text);
    renameSync(join(this.directory, ".objects.tmp"), join(this.directory, "objects.yaml"));
  }

  /** Puts services beside or in the place of those of their names. */
  change(...services: readonly Svc[]): void {
    this.write([...new Map([...this.#services, ...services.map((svc) => [svc.name, svc] as const)]).values()]);
  }

  /** Takes services away. */
  remove(...names: readonly string[]): void {
    this.write([...this.#services.values()].filter(({ name }) => !names.includes(name)));
  }

  /** The service that answers when the last write is in place, or one that does not (any more). */
  #settled(n: number = this.#writes % 3): Svc {
    const endpoints: Svc["endpoints"] = n === this.#writes % 3 ? ["local1"] : [];
    return { name: `settled-${n}`, n: 250 + n, ports: [{ port: this.#port }], endpoints };
  }

  /** Where it answers. */
  settledAt(family: Family): { readonly address: string; readonly port: number } {
    return { address: addressOf(this.#settled(), "clusterIP", family), port: this.#port };
  }

  discard(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
