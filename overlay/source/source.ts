/**
 * Where the network, the hosts and our own subnet come from: a file, etcd, or Kubernetes. All three pass one set of
 * cases (test/overlay/source/cases.ts).
 *
 * A source tells, and goes on telling, for as long as it is open. What it cannot reach it tries again, later and
 * later, and meanwhile takes nothing back: whoever listens keeps what it has.
 *
 * @module
 */
import type { Cidr } from "../../lib/net/cidr.ts";
import type { Claim, Lease, NetworkConfig, Parts } from "../types.ts";

export interface Source {
  /** For messages: `etcd at https://10.0.0.1:2379`, `/etc/tsnet/overlay.yaml`. */
  readonly name: string;
  /** Begins to tell. Throws nothing: what is wrong is told by {@link SourceEvents.connection} and tried again. */
  start(events: SourceEvents): void;
  /**
   * Asks for a subnet, and holds it from then on: renews it, writes it again if somebody changed or removed it. Called
   * again whenever what this host offers has changed. Answers by {@link SourceEvents.own}.
   */
  claim(claim: Claim): void;
  /** This host's network works from now on, or does so no more: for those who tell others (NetworkUnavailable). */
  ready(ready: boolean): void;
  /** Stops telling. The lease stays, for whoever is started next. */
  stop(): Promise<void>;
  /** Gives the lease up, of the last claim or of whoever had this host's address and MAC: for clean-up. */
  release(claim: Claim): Promise<void>;
}

export interface SourceEvents {
  /** What the network is; at first, and whenever that changed. */
  network(config: NetworkConfig): void;
  /** All leases, ours among them. Replaces whatever was told before; what cannot be read is told again after it. */
  leases(all: readonly Lease[]): void;
  /** One is new or has changed. */
  changed(lease: Lease): void;
  /** One is no more. */
  gone(key: string): void;
  /** A record that cannot be read, and why, naming what is wrong; the lease that it held before stays. */
  malformed(key: string, reason: string): void;
  /** How our own claim fares. */
  own(answer: OwnLease): void;
  /** Whether we hear of changes; told at each turn, `reason` where we do not. */
  connection(up: boolean, reason?: string): void;
}

export type OwnLease =
  /** Ours. `expires`: ms since 1970, unless it lasts. */
  | { readonly kind: "held"; readonly lease: Lease; readonly expires?: number }
  /** Our containers' subnet is somebody else's now. Tried again as soon as it is free. */
  | { readonly kind: "taken"; readonly subnets: Parts<Cidr>; readonly holder: string }
  /** We cannot have any: another host uses our address, no subnet is free, nothing assigned. Tried again on change. */
  | { readonly kind: "refused"; readonly reason: string };
