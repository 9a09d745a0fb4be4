/**
 * Taking rules away: all of ours for `--cleanup`, and after our first sync in a mode what the other mode and the real
 * kube-proxy have left, so that no packet passes two sets of rules.
 *
 * Each kind is looked for on its own, whatever became of the others, and what was removed is told.
 *
 * @module
 */
import { isTsnetError, messageOf } from "../lib/errors.ts";
import { type Nft, realNft } from "../lib/nft/nft.ts";
import { NftTransaction } from "../lib/nft/transaction.ts";
import type { ProxyMode } from "./backend.ts";
import type { Log } from "./log.ts";

/** Rules of one kind that may be there. */
export interface Leftover {
  /** `nftables table ip tsnet-proxy`. */
  readonly what: string;
  /** Removes them; false if there were none. */
  remove(): Promise<boolean>;
}

/** The tables of nftables mode, ours and the real kube-proxy's. They are removed by name, unread. */
export const OUR_TABLE = "tsnet-proxy";
export const KUBE_PROXY_TABLE = "kube-proxy";

/** `--cleanup`: removes all that is ours, in every mode and family. Returns the exit code. */
export async function cleanup(log: Log): Promise<number> {
  const failed = await removeAll([...tables(OUR_TABLE)], log);
  if (failed === 0) log.info("nothing of tsnet's proxy is left");
  return failed === 0 ? 0 : 1;
}

/** Removes what other modes and proxies left, now that `mode` serves. It may be called again after a failure. */
export async function cleanOthers(mode: ProxyMode, log: Log): Promise<void> {
  const others = mode === "iptables" ? [...tables(OUR_TABLE), ...tables(KUBE_PROXY_TABLE)] : [];
  await removeAll(others, log);
}

/** Removes each, whatever became of the others. Returns how many could not be removed. */
export async function removeAll(leftovers: readonly Leftover[], log: Log): Promise<number> {
  let failed = 0;
  for (const { what, remove } of leftovers) {
    try {
      if (await remove()) log.info(`removed ${what}`);
    } catch (error) {
      failed++;
      log.error(`could not remove ${what}`, { reason: messageOf(error) });
    }
  }
  return failed;
}

function tables(table: string, nft: Nft = realNft()): readonly Leftover[] {
  return (["ip", "ip6"] as const).map((family) => ({
    what: `nftables table ${family} ${table}`,
    async remove() {
      try {
        await nft.run(new NftTransaction().deleteTable(family, table));
        return true;
      } catch (error) {
        if (isTsnetError(error, "not-found", "kernel-lacks")) return false;
        throw error;
      }
    },
  }));
}
