/**
 * What the overlay asks of the host's packet filter: masquerade of what leaves the cluster, accepts for what is
 * forwarded within it.
 *
 * @module
 */
import type { Cidr } from "../../lib/net/cidr.ts";
import type { Parts } from "../types.ts";

export interface FirewallWish {
  readonly networks: Parts<Cidr>;
  /** Our own. */
  readonly subnets: Parts<Cidr>;
  readonly masquerade: boolean;
  readonly randomFully: boolean;
  readonly forward: boolean;
}

export interface OverlayFirewall {
  readonly backend: "iptables" | "nftables";
  /** Makes it so in one transaction a family, takes away what flannel had for the same, and what another back end of ours had. */
  apply(wish: FirewallWish): Promise<void>;
  /** Looks, after the kernel told of a change by somebody else or because it is time, and puts back what is missing. True if something was. */
  repair(): Promise<boolean>;
  /** Whether somebody else changed rules since the last call; true each time where the kernel does not tell. Does not wait. */
  disturbed(): boolean;
  close(): void;
}
