/**
 * Kubernetes objects, cut down to what a service proxy uses. A cluster has tens of thousands of them, and what is
 * not kept here is garbage as soon as it was parsed.
 *
 * Addresses are canonical text (lib/net/address.ts), as they are compared, hashed and printed far more often than
 * they are computed with.
 *
 * @module
 */

export type Protocol = "tcp" | "udp" | "sctp";

export type TrafficPolicy = "Cluster" | "Local";

/** A Service that is to be programmed: never ExternalName, never headless. */
export interface ServiceObject {
  readonly namespace: string;
  readonly name: string;
  /** ms since 1970, 0 if unknown: of two services that claim one address, the older one has it. */
  readonly createdAt: number;
  /** Of either family, at most one each. */
  readonly clusterIPs: readonly string[];
  readonly ports: readonly ServicePortObject[];
  readonly externalIPs: readonly string[];
  /** `status.loadBalancer.ingress[].ip`, less those of `ipMode: Proxy`. */
  readonly loadBalancerIPs: readonly string[];
  /** `spec.loadBalancerSourceRanges` as CIDRs of either family. */
  readonly sourceRanges: readonly string[];
  /** Undefined unless it is of type LoadBalancer with external policy Local. */
  readonly healthCheckNodePort: number | undefined;
  readonly internalPolicy: TrafficPolicy;
  readonly externalPolicy: TrafficPolicy;
  /** Seconds that a client stays with its endpoint; undefined: no affinity. */
  readonly affinitySeconds: number | undefined;
}

/** What of a Service decides about rules: all but its name. */
export type ServiceBody = Omit<ServiceObject, "namespace" | "name">;

export interface ServicePortObject {
  /** Empty where the only port has no name. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Undefined if there is none. */
  readonly nodePort: number | undefined;
}

/** An EndpointSlice of one address family. */
export interface SliceObject {
  readonly namespace: string;
  readonly name: string;
  /** The Service that it is for, of the same namespace: label `kubernetes.io/service-name`. */
  readonly service: string;
  readonly family: 4 | 6;
  /** Ports without a number are left out. */
  readonly ports: readonly SlicePortObject[];
  readonly endpoints: readonly EndpointObject[];
  /**
   * When whatever made the slice change happened, in ms since 1970: annotation
   * `endpoints.kubernetes.io/last-change-trigger-time`.
   */
  readonly triggeredAt: number | undefined;
}

export interface SlicePortObject {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface EndpointObject {
  /** `addresses[0]`. */
  readonly address: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly node: string | undefined;
  /** `hints.forNodes`, `hints.forZones`; undefined if there are none. */
  readonly hintedNodes: readonly string[] | undefined;
  readonly hintedZones: readonly string[] | undefined;
}

/** The Node that this proxy runs on. */
export interface NodeObject {
  readonly name: string;
  /** At most one a family, the primary one first: an InternalIP, else an ExternalIP. */
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly string[];
  /** Label `topology.kubernetes.io/zone`. */
  readonly zone: string | undefined;
  /** It has a deletionTimestamp. */
  readonly deleting: boolean;
  /** It is tainted `ToBeDeletedByClusterAutoscaler`. */
  readonly leaving: boolean;
}

export interface ServiceCidrObject {
  readonly name: string;
  readonly cidrs: readonly string[];
}
