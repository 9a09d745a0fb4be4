/**
 * What the verbs of a transaction are about.
 *
 * @module
 */

export type NftFamily = "ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev";

/** Where a base chain is hooked into the stack. */
export interface NftHook {
  readonly type: "filter" | "nat" | "route";
  readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting" | "ingress" | "egress";
  /** As a number: -100 is `dstnat`, 100 is `srcnat` (outside the bridge family). */
  readonly priority: number;
  /** Without it the kernel's `accept`. */
  readonly policy?: "accept" | "drop";
}

export interface NftTableName {
  readonly family: NftFamily;
  readonly table: string;
}

export interface NftChainName extends NftTableName {
  readonly chain: string;
}

export interface NftSetName extends NftTableName {
  /** The name of a set; where elements go, of a set or a map. */
  readonly set: string;
}

export interface NftRuleSpec extends NftChainName {
  /** The rule as nft writes it, without its comment: `ip saddr 10.1.0.0/24 masquerade`. */
  readonly rule: string;
  readonly comment?: string;
}

export interface NftSetSpec extends NftSetName {
  /** The expressions whose type an element has: `ip saddr . tcp dport`. */
  readonly typeof: string;
  readonly flags?: readonly NftSetFlag[];
  readonly comment?: string;
}

export interface NftMapName extends NftTableName {
  readonly map: string;
}

export interface NftMapSpec extends NftMapName {
  /** The expressions whose type a key has: `meta l4proto . th dport`. */
  readonly key: string;
  /** The expressions whose type a value has, or `verdict`. */
  readonly value: string;
  readonly flags?: readonly NftSetFlag[];
  readonly comment?: string;
}

export type NftSetFlag = "interval" | "timeout" | "dynamic" | "constant";

export interface NftElementKey extends NftSetName {
  /** As nft writes it: `10.1.0.2 . tcp . 80`, `10.1.0.0/24`. */
  readonly key: string;
  /** How the set was declared; known, an element can go to the kernel without nft: batch.ts. */
  readonly type?: NftElementType;
}

/** What {@link NftSetSpec} or {@link NftMapSpec} said of a set's elements. */
export interface NftElementType {
  /** `typeof` of a set, `key` of a map. */
  readonly key: string;
  /** Of a map. */
  readonly value?: string;
  readonly flags?: readonly NftSetFlag[];
}

export interface NftElementSpec extends NftElementKey {
  /** For a map: `10.1.0.2 . 80`, `goto web`. */
  readonly value?: string;
  /** Made safe by {@link nftComment}. */
  readonly comment?: string;
}

/** A verb that the kernel can be told without nft, which alone knows the language of rules and declarations. */
export type PlainVerb = NftTableName & {
  /** The verb as it is rendered. */
  readonly line: string;
} & (
    | { readonly object: "table"; readonly op: "add" | "delete" }
    | { readonly object: "chain"; readonly op: "flush" | "delete"; readonly name: string }
    | { readonly object: "rule"; readonly op: "delete"; readonly name: string; readonly handle: number }
    | { readonly object: "set"; readonly op: "delete"; readonly name: string }
    | {
        readonly object: "element";
        readonly op: "add" | "create" | "delete";
        readonly name: string;
        readonly element: NftElementSpec & { readonly type: NftElementType };
      }
  );
