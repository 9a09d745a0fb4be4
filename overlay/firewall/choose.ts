/**
 * Which back end the overlay's rules go to.
 *
 * Native nftables is preferred where nobody asks for the other: it needs no program, nobody's `iptables -F` hits it,
 * and it stands beside either variant of iptables, with which kube-proxy or Docker may work.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import { detectVariant, legacyTables, surveyVariants } from "../../lib/iptables/variant.ts";
import type { NftDoor } from "../../lib/nft/nftbatch.ts";
import { probeNftables } from "./nftables.ts";

export type Choice =
  | { readonly backend: "nftables" }
  | { readonly backend: "iptables"; readonly variant: IptablesVariant };

/** @throws TsnetError `kernel-lacks`, `not-found`, `permission`. */
export async function chooseBackend(
  wanted: "iptables" | "nftables" | undefined,
  door: NftDoor,
  log: Log,
): Promise<Choice> {
  if (wanted === "iptables") return iptables(log);
  try {
    probeNftables(door);
    return { backend: "nftables" };
  } catch (error) {
    if (isTsnetError(error, "permission")) throw error;
    const lacks = `the kernel has no nftables with masquerade (${messageOf(error)})`;
    if (wanted === "nftables") {
      throw new TsnetError(`${lacks}: set EnableNFTables to false in the network's config for iptables`, {
        code: "kernel-lacks",
        op: "open firewall",
        cause: error,
      });
    }
    log.info(`${lacks}: using iptables`);
    return iptables(log);
  }
}

async function iptables(log: Log): Promise<Choice> {
  const legacyIsUsed = ([4, 6] as const).some((family) => legacyTables(family).length > 0);
  const { variant, holdRules } = legacyIsUsed
    ? await surveyVariants()
    : { variant: await detectVariant(), holdRules: [] };
  if (variant === undefined) {
    throw new TsnetError("there is no iptables on this host: install it, or let the overlay use nftables", {
      code: "not-found",
      op: "open firewall",
    });
  }
  if (holdRules.length > 1) {
    log.warn(
      "both iptables-nft and iptables-legacy hold rules on this host, and packets pass both: move all to one of them (iptables-legacy-save shows the old ones), or let the overlay use nftables",
      { using: `iptables-${variant}` },
    );
  }
  return { backend: "iptables", variant };
}
