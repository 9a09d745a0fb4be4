/**
 * The way to the peers, as the kernel shall hold it and does: devices, addresses, routes, neighbours, FDB entries.
 *
 * @module
 */
import type { Backend, Lease, LeasePart, Parts, Underlay } from "../types.ts";

/** What this host is in the network. */
export interface FabricSpec {
  readonly backend: Backend;
  readonly underlay: Underlay;
  /** Our own lease: the VXLAN device has its MAC and the first address of its subnet, with a prefix of 32 or 128. */
  readonly own: Parts<LeasePart>;
  readonly blackholeRoute: boolean;
  /** The containers' bridge. With a subnet of before it stands in nobody's way. */
  readonly bridge?: string;
}

/** Something that was not as it shall be, and is again. */
export interface Repair {
  readonly kind: "device" | "address" | "route" | "neighbour" | "fdb";
  /** In the words of `ip`: `10.244.2.0/24 via 10.244.2.0 dev tsnet.1`. */
  readonly object: string;
  readonly found: "missing" | "different" | "superfluous";
}

/** How a peer is reached, or why not. */
export type Way =
  | { readonly kind: "vxlan"; readonly device: string }
  | { readonly kind: "direct"; readonly device: string }
  /** host-gw to a peer beyond a router, which has to know the way to the peer's subnet. */
  | { readonly kind: "router"; readonly device: string; readonly gateway: string }
  | { readonly kind: "none"; readonly reason: string };

export interface FabricReport {
  readonly repairs: readonly Repair[];
  /** What the kernel refused, by the peer's key; tried again at the next comparison. */
  readonly failures: ReadonlyMap<string, string>;
}

export interface Fabric {
  /**
   * Makes devices and addresses so, adopting a device that is there (ours or flannel's, of the same VNI) without
   * taking it down where that can be. What peers need is computed anew.
   *
   * @throws TsnetError `conflict` if somebody else has the VNI and port; `kernel-lacks`, `permission`.
   */
  configure(spec: FabricSpec): FabricReport;
  /** Exactly these peers, and nobody else. Dumps what is there and sends the difference. */
  replace(peers: readonly Lease[]): FabricReport;
  /** One more or one changed: sends its entries only. */
  upsert(peer: Lease): FabricReport;
  remove(key: string): FabricReport;
  /** Reads the kernel's events and, if one of them is about something of ours that is not as wanted, repairs. Does not wait. */
  poll(): FabricReport & { readonly underlayChanged: boolean };
  /** Compares everything with the kernel and repairs. */
  compare(): FabricReport;
  way(key: string): Parts<Way>;
  /** Names of the devices, for others' rules: `tsnet.1`. */
  readonly devices: Parts<string>;
  /** Bytes: what containers get. */
  readonly mtu: number;
  /** Closes sockets; the kernel keeps everything. */
  close(): void;
}
