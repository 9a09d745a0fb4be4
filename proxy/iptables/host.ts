/**
 * What the back end works with: iptables of one variant and family, sets, and looks at what is there that cost as
 * little as the variant allows.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { type Ipset, realIpset } from "../../lib/ipset/ipset.ts";
import { type IptablesBulk, iptablesBulk } from "../../lib/iptables/bulk.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import { nftChains, nftHasChain } from "../../lib/iptables/nftables.ts";
import type { IptablesTable } from "../../lib/iptables/transaction.ts";
import { xtablesInfo } from "../../lib/sys/xtables.ts";
import { type Jump, jumpsOf } from "./base.ts";
import { sameRule } from "./compare.ts";

export interface ProxyHost {
  readonly family: 4 | 6;
  readonly variant: IptablesVariant;
  readonly iptables: IptablesBulk;
  readonly ipset: Ipset;
}

export function proxyHost(family: 4 | 6, variant: IptablesVariant): ProxyHost {
  return { family, variant, iptables: iptablesBulk({ variant }), ipset: realIpset() };
}

/** Whether a table has the chain. */
export async function hasChain(
  { family, variant, iptables }: ProxyHost,
  table: IptablesTable,
  chain: string,
): Promise<boolean> {
  if (variant === "nft") return nftHasChain(family, table, chain);
  return (await iptables.rules(family, table, chain)) !== undefined;
}

/** The names of a table's chains. */
export async function chainNames(
  { family, variant, iptables }: ProxyHost,
  table: IptablesTable,
): Promise<readonly string[]> {
  if (variant === "nft") return nftChains(family, table);
  const names: string[] = [];
  await iptables.save(family, table, (line) => {
    if (line.startsWith(":")) names.push(line.slice(1, line.indexOf(" ")));
    // All of them come before the first rule.
    return !line.startsWith("-A ");
  });
  return names;
}

/** Which of the jumps from built-in chains are there. */
export async function presentJumps(host: ProxyHost): Promise<ReadonlySet<Jump>> {
  const { iptables, family } = host;
  const jumps = jumpsOf(family);
  const places = new Map(jumps.map(({ table, chain }) => [`${table} ${chain}`, { table, chain }]));
  const present = new Set<Jump>();
  await Promise.all(
    [...places.values()].map(async ({ table, chain }) => {
      const rules = (await iptables.rules(family, table, chain)) ?? [];
      const texts = rules.map((line) => line.slice(`-A ${chain} `.length));
      for (const jump of jumps) {
        const isHere = jump.table === table && jump.chain === chain;
        if (isHere && texts.some((text) => sameRule(text, jump.rule))) present.add(jump);
      }
    }),
  );
  return present;
}

/**
 * How large a legacy table is: a number that nearly every change by others changes as well. Undefined with
 * iptables-nft.
 */
export function tableSizes({ family, variant }: ProxyHost): string | undefined {
  if (variant !== "legacy") return undefined;
  return (["nat", "filter"] as const).map((table) => JSON.stringify(xtablesInfo(family, table))).join();
}

/** Fine if there is none. */
export async function setNames({ ipset }: ProxyHost): Promise<readonly string[]> {
  try {
    return await ipset.names();
  } catch (error) {
    if (isTsnetError(error, "not-found", "kernel-lacks")) return [];
    throw error;
  }
}
