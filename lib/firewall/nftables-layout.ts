/**
 * The fixed parts of our nftables table: what is there once, however many containers there are.
 *
 * @module
 */
import type { NftElementType, NftHook, NftSetFlag } from "../nft/transaction.ts";
import type { Part } from "./types.ts";

/** Our table is `inet tsnet`. */
export const FAMILY = "inet";
export const TABLE = "tsnet";

export interface LayoutSet {
  readonly set: string;
  readonly typeof: string;
  /** Makes it a map. */
  readonly value?: string;
  readonly flags?: readonly NftSetFlag[];
}

/** What a part of the firewall needs beside its elements. Rules come in order of their chains. */
export interface NftLayout {
  /** Chains that are jumped to come last, so that deleting in order never meets one in use. */
  readonly chains: readonly { readonly chain: string; readonly hook?: NftHook }[];
  readonly sets: readonly LayoutSet[];
  readonly rules: readonly { readonly chain: string; readonly rule: string }[];
}

const POSTROUTING: NftHook = { type: "nat", hook: "postrouting", priority: 100 };

// A destination in the container's own subnet is left alone by an element address . subnet, because the subnet's
// length differs from container to container.
const MASQUERADE: NftLayout = {
  chains: [{ chain: "masquerade-postrouting", hook: POSTROUTING }],
  sets: [
    { set: "masquerade4", typeof: "ip saddr" },
    { set: "masquerade6", typeof: "ip6 saddr" },
    { set: "own4", typeof: "ip saddr . ip daddr", flags: ["interval"] },
    { set: "own6", typeof: "ip6 saddr . ip6 daddr", flags: ["interval"] },
  ],
  rules: [
    { chain: "masquerade-postrouting", rule: "ip daddr 224.0.0.0/4 return" },
    { chain: "masquerade-postrouting", rule: "ip6 daddr ff00::/8 return" },
    { chain: "masquerade-postrouting", rule: "ip saddr . ip daddr @own4 return" },
    { chain: "masquerade-postrouting", rule: "ip6 saddr . ip6 daddr @own6 return" },
    { chain: "masquerade-postrouting", rule: "ip saddr @masquerade4 masquerade" },
    { chain: "masquerade-postrouting", rule: "ip6 saddr @masquerade6 masquerade" },
  ],
};

const PORT_KEY = {
  ip: "ip daddr . meta l4proto . th dport",
  ip6: "ip6 daddr . meta l4proto . th dport",
} as const;

const PUBLISH: NftLayout = {
  chains: [
    { chain: "publish-prerouting", hook: { type: "nat", hook: "prerouting", priority: -100 } },
    { chain: "publish-output", hook: { type: "nat", hook: "output", priority: -100 } },
    { chain: "publish-postrouting", hook: POSTROUTING },
    { chain: "publish-guard", hook: { type: "filter", hook: "prerouting", priority: -300 } },
    { chain: "published" },
  ],
  sets: [
    { set: "publish4", typeof: PORT_KEY.ip, value: "ip daddr . th dport" },
    { set: "publish6", typeof: PORT_KEY.ip6, value: "ip6 daddr . th dport" },
    { set: "publish4-any", typeof: "meta l4proto . th dport", value: "ip daddr . th dport" },
    { set: "publish6-any", typeof: "meta l4proto . th dport", value: "ip6 daddr . th dport" },
    { set: "conditional4", typeof: "meta l4proto . th dport", value: "verdict" },
    { set: "conditional6", typeof: "meta l4proto . th dport", value: "verdict" },
    // Container, protocol and the port of the host, as the connection was before it was redirected. Without intervals:
    // beside thousands of concatenations with one the kernel takes 25 ms to remove one more.
    { set: "hairpin4", typeof: PORT_KEY.ip },
    { set: "hairpin6", typeof: PORT_KEY.ip6 },
    { set: "hairpin4-all", typeof: PORT_KEY.ip },
    { set: "hairpin6-all", typeof: PORT_KEY.ip6 },
    // A container's own subnet, and the container.
    { set: "near4", typeof: "ip saddr . ip daddr", flags: ["interval"] },
    { set: "near6", typeof: "ip6 saddr . ip6 daddr", flags: ["interval"] },
  ],
  rules: [
    { chain: "publish-prerouting", rule: "fib daddr type local jump published" },
    // The kernel routes nothing from ::1 to another host: redirected, a connection would hang.
    { chain: "publish-output", rule: "ip6 daddr ::1 return" },
    { chain: "publish-output", rule: "fib daddr type local jump published" },
    { chain: "published", rule: "meta nfproto ipv4 meta l4proto . th dport vmap @conditional4" },
    { chain: "published", rule: "meta nfproto ipv6 meta l4proto . th dport vmap @conditional6" },
    { chain: "published", rule: "dnat ip to ip daddr . meta l4proto . th dport map @publish4" },
    { chain: "published", rule: "dnat ip6 to ip6 daddr . meta l4proto . th dport map @publish6" },
    { chain: "published", rule: "dnat ip to meta l4proto . th dport map @publish4-any" },
    { chain: "published", rule: "dnat ip6 to meta l4proto . th dport map @publish6-any" },
    { chain: "publish-postrouting", rule: hairpin("ip", "hairpin4-all") },
    { chain: "publish-postrouting", rule: hairpin("ip6", "hairpin6-all") },
    { chain: "publish-postrouting", rule: hairpin("ip", "hairpin4", "ip saddr 127.0.0.0/8") },
    { chain: "publish-postrouting", rule: hairpin("ip", "hairpin4", "ip saddr . ip daddr @near4") },
    { chain: "publish-postrouting", rule: hairpin("ip6", "hairpin6", "ip6 saddr . ip6 daddr @near6") },
    // route_localnet lets packets for 127.0.0.0/8 in from outside (CVE-2020-8558): what does not come by lo ends here.
    { chain: "publish-guard", rule: 'iifname != "lo" ip daddr 127.0.0.0/8 drop' },
    { chain: "publish-guard", rule: 'iifname != "lo" ip saddr 127.0.0.0/8 drop' },
  ],
};

/** The chain whose rules ask the chains of administrators. */
export const ADMIN = "admin";

// Early, before iptables: what an administrator's chain or a wall drops is dropped, whatever others accept later. An
// accept here ends this chain alone. What is not between two bridges with walls is left to the rules of others.
const FORWARD: NftLayout = {
  chains: [{ chain: "forward", hook: { type: "filter", hook: "forward", priority: -5 } }, { chain: ADMIN }],
  sets: [
    { set: "forward4", typeof: "ip saddr" },
    { set: "forward6", typeof: "ip6 saddr" },
    { set: "walled", typeof: "iifname" },
    { set: "within", typeof: "iifname . oifname" },
    { set: "isolated", typeof: "iifname . oifname" },
  ],
  rules: [
    { chain: "forward", rule: `jump ${ADMIN}` },
    { chain: "forward", rule: "iifname . oifname @isolated drop" },
    { chain: "forward", rule: "iifname . oifname @within accept" },
    { chain: "forward", rule: "iifname @walled oifname @walled drop" },
    { chain: "forward", rule: "ip saddr @forward4 accept" },
    { chain: "forward", rule: "ip6 saddr @forward6 accept" },
  ],
};

/** The parts that have a place in the table. */
export const LAYOUTS: readonly { readonly part: Part; readonly layout: NftLayout }[] = [
  { part: "masquerade", layout: MASQUERADE },
  { part: "publish", layout: PUBLISH },
  { part: "forward", layout: FORWARD },
];

/** The names of the fixed chains. */
export const OWN_CHAINS: ReadonlySet<string> = new Set(
  LAYOUTS.flatMap(({ layout }) => layout.chains.map(({ chain }) => chain)),
);

/** The layout of a part; undefined for one that never is in nftables. */
export function layoutOf(part: Part): NftLayout | undefined {
  return LAYOUTS.find((one) => one.part === part)?.layout;
}

/** The part that a set belongs to. */
export function partOfSet(set: string): Part | undefined {
  return LAYOUTS.find(({ layout }) => layout.sets.some((one) => one.set === set))?.part;
}

/** The set's declaration as its elements carry it: with that they go to the kernel without starting nft. */
export function typeOfSet(set: string): { readonly type?: NftElementType } {
  for (const { layout } of LAYOUTS) {
    const found = layout.sets.find((one) => one.set === set);
    if (found === undefined) continue;
    const { typeof: key, value, flags } = found;
    return { type: { key, ...(value === undefined ? {} : { value }), ...(flags === undefined ? {} : { flags }) } };
  }
  return {};
}

function hairpin(ip: "ip" | "ip6", set: string, ...from: readonly string[]): string {
  const key = `${ip} daddr . meta l4proto . ct original proto-dst`;
  return ["ct status dnat meta l4proto { tcp, udp, sctp }", ...from, `${key} @${set} masquerade`].join(" ");
}
