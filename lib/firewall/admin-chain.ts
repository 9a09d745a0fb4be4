/**
 * What has become of a chain that administrators write into, asked of the kernel itself: programs that list take
 * longer than the change that waits for the answer.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import type { Family } from "../net/address.ts";
import { FAMILY, TABLE } from "./nftables-layout.ts";
import type { EngineName } from "./record.ts";

/** `free`: nobody has written into it, and none but us leads to it. `unknown`: the rules have to be read. */
export type AdminChain = "absent" | "free" | "used" | "unknown";

/** How an administrator's chain stands. */
export async function adminChain(engine: EngineName, family: Family, chain: string): Promise<AdminChain> {
  try {
    if (engine === "nftables") return await inOurTable(chain);
    if (engine === "iptables-legacy") return "unknown";
    const { nftChainUses } = await import("../iptables/nftables.ts");
    const uses = nftChainUses(family, "filter", chain);
    if (uses === undefined) return "absent";
    // One of them is our own way to it.
    return uses > 1 ? "used" : "free";
  } catch (error) {
    if (isTsnetError(error)) return "unknown";
    throw error;
  }
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
