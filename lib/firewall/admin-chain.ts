/**
 * What has become of a chain that administrators write into, asked of the kernel itself: programs that list take
 * longer than the change that waits for the answer.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import type { Family } from "../net/address.ts";
import { CONTAINERS } from "./iptables-layout.ts";
import { FAMILY, TABLE } from "./nftables-layout.ts";
import type { EngineName } from "./record.ts";

/** `free`: nobody has written into it, and none but us leads to it. `unknown`: the rules have to be read. */
export type AdminChain = "absent" | "free" | "used" | "unknown";

/** How an administrator's chain stands. */
export async function adminChain(engine: EngineName, family: Family, chain: string): Promise<AdminChain> {
  try {
    if (engine === "nftables") return await inOurTable(chain);
    if (engine === "iptables-legacy") return "unknown";
    return await inIptables(family, chain);
  } catch (error) {
    if (isTsnetError(error)) return "unknown";
    throw error;
  }
}

/** Its rules count as uses, and so do those that lead to it, of which some are ours. */
async function inIptables(family: Family, chain: string): Promise<AdminChain> {
  const { leadingTo, nftChainUses, nftRulesWith } = await import("../iptables/nftables.ts");
  const uses = nftChainUses(family, "filter", chain);
  if (uses === undefined) return "absent";
  const [ours = []] = uses > 0 ? nftRulesWith(family, "filter", CONTAINERS, [leadingTo(chain)]) : [];
  return uses > ours.length ? "used" : "free";
}

async function inOurTable(chain: string): Promise<AdminChain> {
  const [{ NfSocket }, { readRules }] = await Promise.all([import("../sys/nfsocket.ts"), import("../nft/reading.ts")]);
  const socket = new NfSocket();
  try {
    for (const rule of readRules(socket, { family: FAMILY, table: TABLE })) if (rule.chain === chain) return "used";
    return socket.interrupted ? "unknown" : "free";
  } finally {
    socket.close();
  }
}
