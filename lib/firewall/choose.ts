/**
 * Which engine new rules go to.
 *
 * @module
 */
import { warn } from "../log.ts";
import type { EngineName } from "./record.ts";
import type { Tools } from "./tools.ts";
import type { Backend } from "./types.ts";

/**
 * The engine for `wanted`; unset, iptables unless only nft is there, as the reference plugins have it.
 *
 * A host whose rules are split between iptables-nft and iptables-legacy is told so: what one of them accepts the
 * other may drop, and each tool shows its own half. Unset, native nft is chosen there, whose table is seen by
 * whoever looks at either.
 */
export async function chooseEngine(wanted: Backend | undefined, tools: Tools): Promise<EngineName> {
  if (wanted === "nftables") return "nftables";
  if (!tools.legacyIsLoaded()) return engineOf(wanted, await tools.detectVariant(), tools);
  const { variant, holdRules } = await tools.surveyVariants();
  if (holdRules.length < 2) return engineOf(wanted, variant, tools);
  const chosen = wanted === undefined && tools.hasNft() ? "nftables" : engineOf(wanted, variant, tools);
  warn(
    `both iptables-nft and iptables-legacy hold rules on this host, and packets pass both; using ${chosen}: move all rules to one of them (iptables-legacy-save shows the old ones)`,
  );
  return chosen;
}

function engineOf(wanted: Backend | undefined, variant: "nft" | "legacy" | undefined, tools: Tools): EngineName {
  if (variant === undefined && wanted === undefined && tools.hasNft()) return "nftables";
  return `iptables-${variant ?? "nft"}`;
}
