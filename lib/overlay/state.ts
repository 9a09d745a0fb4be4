/**
 * What the overlay's agent tells the processes beside it, its CNI plugin and `tsnet overlay status`, in one file.
 *
 * @module
 */

/** Of `/run/tsnet/overlay/agent.json`. */
export interface AgentState {
  /** The agent's process, and when it started (the kernel's count, /proc/PID/stat field 22), to tell it from another of the same number. */
  readonly pid: number;
  readonly started: string;
  /** Ms since 1970 of this text. */
  readonly written: number;
  readonly host: string;
  readonly source: string;
  /** Whether changes are heard of from the source. */
  readonly connected: boolean;
  /** What keeps containers from being attached (50) or leaves those that are there badly connected (51). */
  readonly trouble?: AgentTrouble;
  readonly subnetFile: string;
  /** CIDRs. */
  readonly networks: readonly string[];
  readonly subnets: readonly string[];
  readonly backend: string;
  readonly vni?: number;
  /** Bytes, of containers. */
  readonly mtu?: number;
  readonly underlay?: { readonly name: string; readonly addresses: readonly string[]; readonly mtu: number };
  readonly devices: readonly { readonly name: string; readonly mac: string; readonly address: string }[];
  readonly peers: readonly AgentPeer[];
  /** Records of the source that are not used, with the reason. */
  readonly refused: readonly { readonly key: string; readonly reason: string }[];
}

export interface AgentTrouble {
  /** STATUS's code: CNI 1.1.0, section 2, "STATUS". */
  readonly code: 50 | 51;
  readonly message: string;
}

export interface AgentPeer {
  readonly key: string;
  readonly host: string;
  readonly subnets: readonly string[];
  /** On the underlay. */
  readonly addresses: readonly string[];
  readonly macs: readonly string[];
  /** `vxlan`, `direct`, `router 192.0.2.1`, `none: ...`. */
  readonly way: string;
  /** The first address of its subnet of each family, which answers pings; empty where none does (host-gw). */
  readonly probes: readonly string[];
}
