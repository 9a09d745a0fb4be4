/**
 * Whether an administrator has written into a chain, asked of the kernel itself: the last container's DEL waits for
 * the answer, and programs that list take longer than the change.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import type { Family } from "../net/address.ts";
import { FAMILY, TABLE } from "./nftables-layout.ts";
import type { EngineName } from "./record.ts";

/** False also where it cannot be told: then the rules are read. */
export async function isEmptyChain(engine: EngineName, family: Family, chain: string): Promise<boolean> {
  try {
    if (engine === "nftables") return await isEmptyInOurTable(chain);
    if (engine === "iptables-legacy") return false;
    const { nftRules } = await import("../iptables/nftables.ts");
    return nftRules(family, "filter", chain).count === 0;
  } catch (error) {
    if (isTsnetError(error)) return false;
    throw error;
  }
}

async function isEmptyInOurTable(chain: string): Promise<boolean> {
  const [{ NfSocket }, { readRules }] = await Promise.all([import("../sys/nfsocket.ts"), import("../nft/reading.ts")]);
  const socket = new NfSocket();
  try {
    for (const rule of readRules(socket, { family: FAMILY, table: TABLE })) if (rule.chain === chain) return false;
    return !socket.interrupted;
  } finally {
    socket.close();
  }
}
