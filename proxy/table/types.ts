/**
 * What shall be programmed, the same for every back end: pure data of one address family.
 *
 * @module
 */
import type { Protocol, TrafficPolicy } from "../objects/objects.ts";

/**
 * The whole of one family. Whatever the past was, the same objects make the same table, but for the order of
 * {@link PortRules.endpoints} and {@link PortRules.local} and that of the services in their map.
 */
export interface Table {
  /** By service, `namespace/name`. */
  readonly services: ReadonlyMap<string, readonly PortRules[]>;
  /** CIDRs of ServiceCIDRs: an address of them that no service has is dropped. */
  readonly serviceCIDRs: readonly string[];
  readonly node: NodeFacts;
}

/** What of the node decides about rules. */
export interface NodeFacts {
  /** Addresses of pods of this node, if the detect-local mode tells them by address (ClusterCIDR, NodeCIDR). */
  readonly podCIDRs: readonly string[];
  /** The node's own addresses, as its Node object has them. */
  readonly addresses: readonly string[];
}

/** One port of one Service. */
export interface PortRules {
  /** `namespace/name:port`, or `namespace/name` where the port has no name: as kube-proxy's comments have it. */
  readonly name: string;
  readonly protocol: Protocol;
  /** At least one. The first is the cluster IP. No two of a table have the same address, protocol and port. */
  readonly frontends: readonly Frontend[];
  /**
   * Where the Cluster policy leads. Empty too if nobody is led by it: internal policy Local and no external frontend.
   * The order is stable: an endpoint that stays keeps its index; where one goes, a new one or else the last takes
   * its place.
   */
  readonly endpoints: readonly Endpoint[];
  /** Where the Local policy leads, in a stable order. Empty too if no frontend has it. */
  readonly local: readonly Endpoint[];
  /**
   * Whether any endpoint in the cluster can serve it. If not, every frontend refuses, and both lists are empty. If
   * so, a frontend whose own list is empty (Local, and none is here) drops.
   */
  readonly served: boolean;
  /** Seconds that a client's address stays with its endpoint, across all frontends; undefined: no affinity. */
  readonly affinitySeconds: number | undefined;
  /** The port of the node that tells a load balancer how many local endpoints there are; on the service's first port only. */
  readonly healthCheckNodePort?: number | undefined;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** On this node. */
  readonly local: boolean;
}

/** Where clients knock. */
export interface Frontend {
  readonly kind: "clusterIP" | "externalIP" | "loadBalancer" | "nodePort";
  /** Empty for a node port: any of the node's addresses that take node ports. */
  readonly address: string;
  readonly port: number;
  /**
   * For a cluster IP the internal policy, else the external one. With `Local`, pods of this node and the node itself
   * that ask an external frontend still get {@link PortRules.endpoints}.
   */
  readonly policy: TrafficPolicy;
  /**
   * Of load-balancer addresses only: CIDRs of sources that may connect, others are dropped; undefined: all may.
   * If one of them holds an address of the node, the load balancer's own address is among them.
   */
  readonly sourceRanges: readonly string[] | undefined;
}

/** What happened to one service: undefined before it was there and after it is gone. */
export interface ServiceChange {
  readonly before: readonly PortRules[] | undefined;
  readonly after: readonly PortRules[] | undefined;
}
