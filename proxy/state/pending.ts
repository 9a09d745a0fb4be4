/**
 * What has to be brought to the kernel since the last time.
 *
 * @module
 */
import type { ServiceChange, Table } from "../table/types.ts";

/** One batch of changes. Its maps of tables and health checks are the State's own and change with its next `take()`. */
export interface Pending {
  readonly tables: ReadonlyMap<4 | 6, Table>;
  /** By family and service, for those whose rules differ from those of the last `take()`. */
  readonly changes: ReadonlyMap<4 | 6, ReadonlyMap<string, ServiceChange>>;
  /** Service CIDRs or facts of the node changed: a back end has to `replace`. True the first time. */
  readonly factsChanged: boolean;
  /** ms since 1970, one for each slice that changed: when what made it change happened, if that was since the start. */
  readonly triggers: readonly number[];
  /** How many changes of Services and of slices went into this. */
  readonly serviceChanges: number;
  readonly endpointChanges: number;
  /** Health-check node ports wanted: service → port and how many endpoints are ready on this node. */
  readonly healthChecks: ReadonlyMap<string, HealthCheck>;
  readonly noLocalEndpoints: NoLocalEndpoints;
  /** UDP flows to clean up once the rules are in place. To be kept and merged by the taker if they are not. */
  readonly udp: ReadonlyMap<4 | 6, readonly FlowCleanup[]>;
  /** The same of TCP flows, if those are wanted: they end with the endpoint alone. */
  readonly tcp: ReadonlyMap<4 | 6, readonly FlowCleanup[]>;
}

/** Ports with a Local policy that nobody on this node serves, though others do; of all families. */
export interface NoLocalEndpoints {
  readonly internal: number;
  readonly external: number;
}

export interface HealthCheck {
  readonly port: number;
  /** Distinct addresses, of the family that has more of them. */
  readonly localEndpoints: number;
}

/** Flows to one of `frontends` that are answered by none of `serving` lead nowhere. */
export interface FlowCleanup {
  /** The address is empty for a node port. */
  readonly frontends: readonly { readonly address: string; readonly port: number }[];
  /**
   * Endpoints of the whole cluster, ready or serving ones for UDP, for TCP all; none if the service or its endpoints
   * are gone.
   */
  readonly serving: readonly { readonly address: string; readonly port: number }[];
}
