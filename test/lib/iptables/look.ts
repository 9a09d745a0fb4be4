/**
 * Looks that work in the namespace of the process alone, from a process of a test host.
 *
 * @module
 */
import { nftChains, nftHasChain, nftRules } from "../../../lib/iptables/nftables.ts";
import { xtablesInfo } from "../../../lib/sys/xtables.ts";
import type { Host } from "../../e2e/host.ts";

/** What is seen of ONE-CHAIN and of what is around it. */
export async function look(host: Host): Promise<ReturnType<typeof see>> {
  return JSON.parse(await host.ok([process.execPath, import.meta.filename], { env: { BUN_BE_BUN: "1" } }));
}

function see() {
  const rules = nftRules(4, "nat", "ONE-CHAIN");
  return {
    chains: nftChains(4, "nat").toSorted(),
    none: nftChains(6, "filter"),
    has: [nftHasChain(4, "nat", "ONE-CHAIN"), nftHasChain(4, "nat", "NO-CHAIN"), nftHasChain(6, "raw", "ONE-CHAIN")],
    count: rules.count,
    jumps: [rules.jumpsTo("OTHER-CHAIN"), rules.jumpsTo("NO-CHAIN")],
    missing: nftRules(4, "nat", "NO-CHAIN").count,
    legacy: xtablesInfo(4, "filter")?.entries ?? 0,
    unknown: xtablesInfo(4, "nonesuch") ?? null,
  };
}

if (import.meta.main) console.log(JSON.stringify(see()));
