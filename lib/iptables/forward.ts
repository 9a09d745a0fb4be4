/**
 * Whether packets that are forwarded meet rules in FORWARD, of either variant. Told without starting a program where
 * only iptables-nft was ever used.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import type { IptablesVariant } from "./iptables.ts";
import { realIptables } from "./iptables.ts";
import { nftPolicy, nftRules } from "./nftables.ts";
import { legacyTables } from "./variant.ts";

/** A variant whose FORWARD holds rules, or drops what passes them. */
export interface ForwardRules {
  readonly variant: IptablesVariant;
  /** Whether its policy is DROP in a family that was asked for. */
  readonly drops: boolean;
}

/** The variants that have something to say of what is forwarded in `families`. */
export async function forwardRules(families: readonly (4 | 6)[]): Promise<readonly ForwardRules[]> {
  const [nft, legacy] = [families.map(inNft), await Promise.all(families.map(inLegacy))];
  const found: ForwardRules[] = [];
  for (const [variant, all] of [
    ["nft", nft],
    ["legacy", legacy],
  ] as const) {
    if (all.some(({ rules, drops }) => rules || drops)) found.push({ variant, drops: all.some(({ drops }) => drops) });
  }
  return found;
}

interface Said {
  readonly rules: boolean;
  readonly drops: boolean;
}

const NOTHING: Said = { rules: false, drops: false };

function inNft(family: 4 | 6): Said {
  try {
    const drops = nftPolicy(family, "filter", "FORWARD") === "DROP";
    return { rules: nftRules(family, "filter", "FORWARD").count > 0, drops };
  } catch (error) {
    if (isTsnetError(error, "kernel-lacks")) return NOTHING;
    throw error;
  }
}

async function inLegacy(family: 4 | 6): Promise<Said> {
  if (!legacyTables(family).includes("filter")) return NOTHING;
  try {
    const saved = await realIptables({ variant: "legacy" }).save(family, ["filter"]);
    const forward = saved.get("filter")?.chains.get("FORWARD");
    return { rules: (forward?.rules.length ?? 0) > 0, drops: forward?.policy === "DROP" };
  } catch (error) {
    // Tables without a program are what a module left that nobody can write to.
    if (isTsnetError(error, "not-found", "kernel-lacks")) return NOTHING;
    throw error;
  }
}
