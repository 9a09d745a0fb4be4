/**
 * Where in iptables the overlay's rules are, and flannel's were.
 *
 * @module
 */

/** What we have in a table, and what flannel had for the same. */
export interface Place {
  readonly table: "filter" | "nat";
  /** The built-in chain that leads to ours. */
  readonly from: "FORWARD" | "POSTROUTING";
  readonly chain: string;
  readonly flannel: string;
  /** Of flannel's rules; its older versions put theirs into the built-in chain. */
  readonly flannelComment: string;
}

/** The one that accepts comes first: tables are committed in this order. */
export const PLACES = {
  accept: {
    table: "filter",
    from: "FORWARD",
    chain: "TSNET-OVERLAY-FWD",
    flannel: "FLANNEL-FWD",
    flannelComment: "flanneld forward",
  },
  masquerade: {
    table: "nat",
    from: "POSTROUTING",
    chain: "TSNET-OVERLAY-MASQ",
    flannel: "FLANNEL-POSTRTG",
    flannelComment: "flanneld masq",
  },
} as const satisfies Readonly<Record<string, Place>>;

export type Part = keyof typeof PLACES;
export const PARTS = ["accept", "masquerade"] as const satisfies readonly Part[];
