/**
 * Which iptables a proxy uses: the one that this node's kubelet uses. Rules in both, kubelet's or a proxy's, are
 * refused: packets would pass both rule sets, and which of them wins depends on which was loaded first.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import { nftHasChain } from "../../lib/iptables/nftables.ts";
import { findIptables, legacyTables } from "../../lib/iptables/variant.ts";
import { hasChain, proxyHost } from "./host.ts";
import { KUBELET_HINTS, SERVICES } from "./names.ts";

const VARIANTS = ["nft", "legacy"] as const;

/** What of either variant is in place, and what is installed. */
export interface VariantFacts {
  /** What `iptables` is; undefined: there is none. */
  readonly preferred: IptablesVariant | undefined;
  readonly installed: readonly IptablesVariant[];
  /** The variants that kubelet has made its chains in. */
  readonly kubelet: readonly IptablesVariant[];
  /** The variants that hold service rules, ours or a real kube-proxy's. */
  readonly services: readonly IptablesVariant[];
}

/**
 * The variant for this host.
 *
 * @throws TsnetError `not-found` if there is no iptables, or not the one that kubelet uses; `conflict` if both variants
 * hold kubelet's chains or the other one holds service rules.
 */
export async function chooseIptables(): Promise<IptablesVariant> {
  return decideVariant(await readFacts());
}

export function decideVariant({ preferred, installed, kubelet, services }: VariantFacts): IptablesVariant {
  if (kubelet.length > 1) throw mixed("kubelet's chains are");
  if (services.length > 1) throw mixed("service rules are");
  const [variant = services[0] ?? preferred] = kubelet;
  if (variant === undefined) throw missing("there is no iptables: install it, or set the proxy's mode to nftables");
  if (!installed.includes(variant)) {
    throw missing(`this node uses iptables-${variant}, which is not installed here: install it beside iptables`);
  }
  const [other] = services.filter((held) => held !== variant);
  if (other !== undefined) {
    throw new TsnetError(
      `service rules are in iptables-${other}, while kubelet of this node uses iptables-${variant}: packets would pass both; remove them by --cleanup, or restart the node`,
      { code: "conflict", op: "iptables" },
    );
  }
  return variant;
}

function mixed(what: string): TsnetError {
  const message = `${what} in both iptables-nft and iptables-legacy, so that there is no telling which one this node uses: remove those of the one that it does not use, or restart the node`;
  return new TsnetError(message, { code: "conflict", op: "iptables" });
}

function missing(message: string): TsnetError {
  return new TsnetError(message, { code: "not-found", op: "iptables" });
}

async function readFacts(): Promise<VariantFacts> {
  const { preferred, installed } = await findIptables();
  const kubelet: IptablesVariant[] = [];
  const services: IptablesVariant[] = [];
  for (const variant of VARIANTS) {
    if (await holds(variant, installed, "mangle", KUBELET_HINTS)) kubelet.push(variant);
    if (await holds(variant, installed, "nat", [SERVICES])) services.push(variant);
  }
  return { preferred, installed, kubelet, services };
}

/** Of iptables-nft it is seen without the program; legacy without its program is taken for unused. */
async function holds(
  variant: IptablesVariant,
  installed: readonly IptablesVariant[],
  table: "mangle" | "nat",
  chains: readonly string[],
): Promise<boolean> {
  for (const family of [4, 6] as const) {
    if (variant === "legacy" && !(installed.includes(variant) && legacyTables(family).includes(table))) continue;
    for (const chain of chains) {
      const there =
        variant === "nft"
          ? nftHasChain(family, table, chain)
          : await hasChain(proxyHost(family, variant), table, chain);
      if (there) return true;
    }
  }
  return false;
}
