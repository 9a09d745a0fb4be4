/**
 * Whether, at first sight, nobody took our rules away. A look at the chains that every packet passes: who flushes a
 * table hits them, and an audit finds the rest.
 *
 * @module
 */
import { nftHasChain, nftRules } from "../../lib/iptables/nftables.ts";
import { fixedChains, type Jump, jumpsOf } from "./base.ts";
import { FILTER_LISTS, framed, type Layout, TREES } from "./layout.ts";
import { CANARY, FIREWALL, MARKER } from "./names.ts";
import { rootRules } from "./tree.ts";

/** How many rules the chains have that every packet passes. */
export type Counts = readonly { readonly table: Jump["table"]; readonly chain: string; readonly rules: number }[];

export function expectedCounts({ shape, lists }: Layout): Counts {
  const { nat, filter } = fixedChains(shape);
  const count = (table: Jump["table"], chain: string, rules: number) => ({ table, chain, rules });
  return [
    ...[...nat].map(([chain, rules]) => count("nat", chain, rules.length)),
    ...TREES.map(([chain, list]) => count("nat", chain, rootRules(lists[list]) + framed(chain, [], shape).length)),
    ...[...filter].map(([chain, rules]) => count("filter", chain, rules.length)),
    ...FILTER_LISTS.map(([chain, list]) => count("filter", chain, lists[list].length)),
  ];
}

/** Of iptables-nft, by netlink alone: a millisecond or two. */
export function looksIntact(family: 4 | 6, counts: Counts): boolean {
  const canaries = (["mangle", "nat", "filter"] as const).every((table) => nftHasChain(family, table, CANARY));
  if (!canaries || !nftHasChain(family, "nat", MARKER)) return false;
  return hasJumps(family) && counts.every(({ table, chain, rules }) => nftRules(family, table, chain).count === rules);
}

function hasJumps(family: 4 | 6): boolean {
  const seen = new Map<string, ReturnType<typeof nftRules>>();
  for (const { table, chain, to } of jumpsOf(family)) {
    const place = `${table} ${chain}`;
    const rules = seen.get(place) ?? nftRules(family, table, chain);
    seen.set(place, rules);
    if (!rules.jumpsTo(to)) return false;
  }
  return family === 6 || nftRules(family, "filter", FIREWALL).count > 0;
}
