/**
 * Taking rules away: all of ours for `--cleanup`, and after our first sync in a mode what the other mode and the real
 * kube-proxy have left, so that no packet passes two sets of rules.
 *
 * Each kind is looked for on its own, whatever became of the others, and what was removed is told.
 *
 * @module
 */

import type { Log } from "../lib/daemon/log.ts";
import { isTsnetError, messageOf } from "../lib/errors.ts";
import { type Nft, realNft } from "../lib/nft/nft.ts";
import { type NftTableName, NftTransaction } from "../lib/nft/transaction.ts";
import type { ProxyMode } from "./backend.ts";
import { tableOf } from "./nftables/sets.ts";

/** Rules of one kind that may be there. */
export interface Leftover {
  /** `nftables table ip tsnet-proxy`. */
  readonly what: string;
  /** Removes them; false if there were none. */
  remove(): Promise<boolean>;
}

/** The real kube-proxy's in nftables mode, of both families. It is removed by its name, unread. */
const KUBE_PROXY_TABLE = "kube-proxy";

/** `--cleanup`: removes all that is ours, in every mode and family. Returns the exit code. */
export async function cleanup(log: Log): Promise<number> {
  const { iptablesLeftovers } = await import("./iptables/leftovers.ts");
  const failed = await removeAll([...ourTables(), ...(await iptablesLeftovers({ whose: "ours", log }))], log);
  if (failed > 0) return 1;
  log.info("nothing of tsnet's proxy is left");
  return 0;
}

/** Removes what other modes and proxies left, now that `mode` serves. It may be called again after a failure. */
export async function cleanOthers(mode: ProxyMode, log: Log): Promise<void> {
  if (mode === "iptables") {
    await removeAll(nftablesLeftovers(), log);
    return;
  }
  const { iptablesLeftovers } = await import("./iptables/leftovers.ts");
  await removeAll(await iptablesLeftovers({ whose: "anybody's", log }), log);
}

/** Removes each, whatever became of the others. Returns how many could not be removed. */
export async function removeAll(leftovers: readonly Leftover[], log: Log): Promise<number> {
  let failed = 0;
  for (const leftover of leftovers) {
    try {
      if (await leftover.remove()) log.info(`removed ${leftover.what}`);
    } catch (error) {
      failed++;
      log.error(`could not remove ${leftover.what}`, { reason: messageOf(error) });
    }
  }
  return failed;
}

function nftablesLeftovers(): readonly Leftover[] {
  return [
    ...ourTables(),
    table({ family: "ip", table: KUBE_PROXY_TABLE }),
    table({ family: "ip6", table: KUBE_PROXY_TABLE }),
  ];
}

function ourTables(): readonly Leftover[] {
  return ([4, 6] as const).map((family) => table(tableOf(family)));
}

function table({ family, table: name }: NftTableName, nft: Nft = realNft()): Leftover {
  return {
    what: `nftables table ${family} ${name}`,
    async remove() {
      try {
        await nft.run(new NftTransaction().deleteTable(family, name));
        return true;
      } catch (error) {
        if (isTsnetError(error, "not-found", "kernel-lacks")) return false;
        throw error;
      }
    },
  };
}
