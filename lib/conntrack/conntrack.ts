/**
 * Connection tracking through the `conntrack` program: what flows are there, and take some away.
 *
 * A flow that was set up before a rule keeps being translated as it was then: who changes NAT for UDP deletes the
 * flows of its port.
 *
 * @module
 */
import type { Address } from "../net/address.ts";

/** One direction of a flow. Ports are undefined where the protocol has none. */
export interface FlowTuple {
  readonly src: Address;
  readonly dst: Address;
  readonly sport?: number;
  readonly dport?: number;
}

/** A tracked flow. */
export interface Flow {
  readonly family: 4 | 6;
  /** `tcp`, `udp`, `icmp`, ... */
  readonly proto: string;
  /** As the first packet came in, before any translation. */
  readonly orig: FlowTuple;
  /** As answers are expected, so `reply.src` is whom a DNAT led to. */
  readonly reply: FlowTuple;
}

/** What all of must hold for a flow; at least the family. */
export interface FlowFilter {
  readonly family: 4 | 6;
  readonly proto?: "tcp" | "udp" | "sctp";
  /** Destination port of the first packet. Needs `proto`. */
  readonly dport?: number;
  readonly origSrc?: Address;
  readonly origDst?: Address;
  readonly replySrc?: Address;
  readonly replyDst?: Address;
}

export interface Conntrack {
  /**
   * Deletes the flows that match and returns how many there were; none is fine.
   *
   * @throws TsnetError `not-found` if there is no `conntrack` program; `permission`, `kernel-lacks`, `program`.
   */
  deleteFlows(filter: FlowFilter): Promise<number>;
  listFlows(filter: FlowFilter): Promise<readonly Flow[]>;
}

export interface RealConntrackOptions {
  /** Put before `conntrack`: `["nsenter", "--net=/run/netns/x"]`. */
  readonly prefix?: readonly string[];
}

/** The flows of the namespace that this process is in, unless `prefix` leads elsewhere. */
export declare function realConntrack(options?: RealConntrackOptions): Conntrack;
