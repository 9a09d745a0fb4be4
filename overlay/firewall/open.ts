/**
 * The packet filter of this host, for as long as an agent runs, and without one.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import { joinErrors } from "../../lib/errors.ts";
import { findIptables } from "../../lib/iptables/variant.ts";
import { NfSocket } from "../../lib/sys/nfsocket.ts";
import { chooseBackend } from "./choose.ts";
import type { OverlayFirewall } from "./firewall.ts";
import { HostFirewall } from "./host.ts";
import { OverlayChains } from "./iptables.ts";
import { NftTables } from "./nftables.ts";

/**
 * Opens what is `wanted`, or what this host has: nftables where the kernel has it, else iptables.
 *
 * @throws TsnetError `kernel-lacks` if nftables is wanted and the kernel has it not; `not-found` if iptables is wanted
 * and not installed; `permission`.
 */
export async function openFirewall(
  wanted: "iptables" | "nftables" | undefined,
  { log }: { readonly log: Log },
): Promise<OverlayFirewall> {
  const socket = new NfSocket();
  try {
    const choice = await chooseBackend(wanted, socket, log);
    return new HostFirewall(choice, socket, log);
  } catch (error) {
    socket.close();
    throw error;
  }
}

/**
 * Takes away all rules of ours and of flannel's for the same, in each back end and family, whichever was used last.
 * Fine where there are none.
 *
 * @throws TsnetError for what could not be removed; the rest is.
 */
export async function removeFirewall(log: Log): Promise<void> {
  const errors: unknown[] = [];
  const step = async (what: string, remove: () => Promise<boolean> | boolean) => {
    try {
      if (await remove()) log.info(`removed ${what}`);
    } catch (error) {
      errors.push(error);
    }
  };
  await step("the overlay's tables of nftables", removeTables);
  const { installed } = await findIptables();
  for (const variant of installed) {
    for (const family of [4, 6] as const) {
      const chains = new OverlayChains(variant, family);
      await step(`the overlay's chains of iptables-${variant}, IPv${family}`, () => chains.remove());
    }
  }
  if (errors.length > 0) throw joinErrors("remove firewall", errors);
}

function removeTables(): boolean {
  const socket = new NfSocket();
  try {
    return new NftTables(socket).remove();
  } finally {
    socket.close();
  }
}
