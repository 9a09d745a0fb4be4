/**
 * What the overlay's wish means, rule by rule and whatever the back end: which packets leave with this host's address,
 * and which are accepted where they are forwarded. The meaning is flannel's, so that a host moved from it behaves as
 * before.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { type Cidr, parseCidr } from "../../lib/net/cidr.ts";
import type { FirewallWish } from "./firewall.ts";

export interface OverlayRule {
  /** A bit of the packet's mark that has to be set. */
  readonly mark?: number;
  readonly source?: Side;
  readonly destination?: Side;
  readonly action: "return" | "accept" | "masquerade";
  /** Of `masquerade`: from a port at random, so that two connections at once do not draw the same. */
  readonly randomFully?: boolean;
  /** For whoever lists the rules. */
  readonly why: string;
}

export interface Side {
  readonly cidr: Cidr;
  /** Anything but these. */
  readonly not?: true;
}

/** kube-proxy's for what it masquerades itself: `--iptables-masquerade-bit`'s default, 14. */
const KUBE_PROXY_MARK = 0x4000;
const MULTICAST = { 4: parseCidr("224.0.0.0/4"), 6: parseCidr("ff00::/8") } as const;

/** In this order, for whatever is about to leave the host; none if nothing is masqueraded. */
export function masqueradeRules(wish: FirewallWish, family: Family): readonly OverlayRule[] {
  const network = wish.networks[family];
  const subnet = wish.subnets[family];
  if (!wish.masquerade || network === undefined) return [];
  const inside: Side = { cidr: network };
  const outside: Side = { cidr: network, not: true };
  const masquerade = { action: "masquerade", randomFully: wish.randomFully } as const;
  return [
    { mark: KUBE_PROXY_MARK, action: "return", why: "kube-proxy masquerades it" },
    { source: inside, destination: inside, action: "return", why: "within the network" },
    // An answer has to come back through us all the same: the container is here.
    ...(subnet === undefined
      ? []
      : [{ source: outside, destination: { cidr: subnet }, action: "return", why: "from outside to here" } as const]),
    { source: inside, destination: { cidr: MULTICAST[family], not: true }, ...masquerade, why: "to the outside" },
    // Other hosts know no way back to addresses that this host alone routes, such as those of Docker's containers.
    { source: outside, destination: inside, ...masquerade, why: "through here to other hosts" },
  ];
}

/** None if nothing is accepted. */
export function acceptRules(wish: FirewallWish, family: Family): readonly OverlayRule[] {
  const network = wish.networks[family];
  if (!wish.forward || network === undefined) return [];
  return [
    { source: { cidr: network }, action: "accept", why: "from the network" },
    { destination: { cidr: network }, action: "accept", why: "to the network" },
  ];
}
