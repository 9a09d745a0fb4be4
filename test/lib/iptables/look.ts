/**
 * Looks that work in the namespace of the process alone: prints what they see there as JSON.
 *
 * @module
 */
import { nftChains, nftHasChain, nftRules } from "../../../lib/iptables/nftables.ts";
import { xtablesInfo } from "../../../lib/sys/xtables.ts";

const rules = nftRules(4, "nat", "ONE-CHAIN");
console.log(
  JSON.stringify({
    chains: nftChains(4, "nat").toSorted(),
    none: nftChains(6, "filter"),
    has: [nftHasChain(4, "nat", "ONE-CHAIN"), nftHasChain(4, "nat", "NO-CHAIN"), nftHasChain(6, "raw", "ONE-CHAIN")],
    count: rules.count,
    jumps: [rules.jumpsTo("OTHER-CHAIN"), rules.jumpsTo("NO-CHAIN")],
    missing: nftRules(4, "nat", "NO-CHAIN").count,
    legacy: xtablesInfo(4, "filter") ?? null,
    unknown: xtablesInfo(4, "nonesuch") ?? null,
  }),
);
