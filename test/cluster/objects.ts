/**
 * Services and EndpointSlices for the pods of a world, as manifests.
 *
 * @module
 */
import { ADDRESSES, type Family, NODE_NAME, PEER_NAME, type Pod } from "../e2e/proxy/world.ts";
import type { Manifest } from "./api.ts";

export interface EndpointOf {
  readonly pod: Pod;
  /** Ready unless it is said to be `terminating` (still serving), `gone` (terminating, not serving) or `unready`. */
  readonly state?: "ready" | "terminating" | "gone" | "unready";
  /** Zones that it is for. */
  readonly zones?: readonly string[];
}

export interface ServicePort {
  readonly name?: string;
  readonly protocol?: "TCP" | "UDP" | "SCTP";
  readonly port: number;
  readonly targetPort?: number;
  readonly nodePort?: number;
}

export const FAMILIES: readonly Family[] = [4, 6];

/** A dual-stack Service without a selector: its slices are a test's own business. */
export function service(
  name: string,
  clusterIPs: readonly string[],
  ports: readonly ServicePort[],
  spec: Readonly<Record<string, unknown>> = {},
  status?: object,
): Manifest {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: {
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: clusterIPs.map((address) => (address.includes(":") ? "IPv6" : "IPv4")),
      ipFamilyPolicy: clusterIPs.length > 1 ? "RequireDualStack" : "SingleStack",
      ports: ports.map((port) => ({ protocol: "TCP", ...port })),
      ...spec,
    },
    ...(status === undefined ? {} : { status }),
  };
}

/** A slice of a Service in one family. Pods answer on 8080 and 8081. */
export function slice(
  serviceName: string,
  family: Family,
  endpoints: readonly EndpointOf[],
  ports: readonly ServicePort[],
): Manifest {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${serviceName}-${family}`,
      namespace: "default",
      labels: { "kubernetes.io/service-name": serviceName },
    },
    addressType: `IPv${family}`,
    ports: ports.map(({ name = "", protocol = "TCP", targetPort = 8080 }) => ({ name, protocol, port: targetPort })),
    endpoints: endpoints.map((endpoint) => endpointOf(endpoint, family)),
  };
}

/** As it stands in a slice of a family. */
export function endpointOf({ pod, state = "ready", zones }: EndpointOf, family: Family): object {
  return {
    addresses: [ADDRESSES[pod][family]],
    conditions: {
      ready: state === "ready",
      serving: state === "ready" || state === "terminating",
      terminating: state === "terminating" || state === "gone",
    },
    nodeName: pod.startsWith("local") ? NODE_NAME : PEER_NAME,
    ...(zones === undefined ? {} : { hints: { forZones: zones.map((name) => ({ name })) } }),
  };
}
