/**
 * What programs a {@link Table} into the kernel: nftables or iptables, one instance a family.
 *
 * A back end keeps what it last committed in its own compact form. If a call throws, it has forgotten that, and the
 * next call has to be `replace`.
 *
 * @module
 */
import type { ServiceChange, Table } from "./table/types.ts";

export type ProxyMode = "iptables" | "nftables";

/** What a back end has to know from the start; it does not change while the process lives. */
export interface BackendSettings {
  readonly family: 4 | 6;
  /** Masquerade everything that goes to a cluster IP. */
  readonly masqueradeAll: boolean;
  /** Bit 0 to 31 of the packet mark, 14 as kube-proxy. */
  readonly masqueradeBit: number;
  /** How a pod of this node is told from others, where not by {@link NodeFacts.podCIDRs}. */
  readonly localInterface:
    | { readonly kind: "none" }
    | { readonly kind: "bridge"; readonly name: string }
    | { readonly kind: "prefix"; readonly prefix: string };
  /** CIDRs of node addresses that take node ports; `all` of the node's, loopback as the back end can; `primary`: {@link NodeFacts.addresses}. */
  readonly nodePortAddresses: "all" | "primary" | readonly string[];
  /** iptables and IPv4 only: node ports on 127.0.0.1 too. */
  readonly localhostNodePorts: boolean;
  /** Drop what conntrack finds invalid. */
  readonly dropInvalid: boolean;
}

/** What one call wrote. */
export interface Applied {
  /** Elements or rules that were sent. */
  readonly written: number;
  /** Connections of services that lost an endpoint are not the back end's business, but `false` means nothing had to change. */
  readonly changed: boolean;
}

export interface Backend {
  readonly mode: ProxyMode;
  readonly family: 4 | 6;
  /**
   * Puts the whole table in place over whatever is there (nothing, an earlier life's, damaged), so that no new
   * connection falls through meanwhile and none that exists is lost. Reads no rules. Stale leftovers of an earlier
   * life may be swept a moment later, by {@link sweep}.
   */
  replace(table: Table): Promise<Applied>;
  /** Brings the changes since the last success. `table` is the table after them. */
  update(table: Table, changes: ReadonlyMap<string, ServiceChange>): Promise<Applied>;
  /** Removes what is ours by name and not in the last committed table. Called in the background after `replace`. */
  sweep(): Promise<void>;
  /** Whether rules of ours are there at all, of this or an earlier life. Cheap. */
  present(): Promise<boolean>;
  /** Whether, at first sight, nobody took away what we committed: cheap enough to be called at every foreign event. */
  intact(): Promise<boolean>;
  /** Compares what the kernel holds with what was committed, streaming. One line for each thing missing or too much. */
  audit(): Promise<readonly string[]>;
  /** What `replace` would put in place, as text that `nft -f` or `iptables-restore` takes: for --dry-run. */
  render(table: Table): string;
  /** Removes all that is ours, and what a kube-proxy of the same mode shares with us unless it is running on it. */
  remove(): Promise<void>;
}
