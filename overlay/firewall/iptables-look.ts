/**
 * Looks at iptables that change nothing: no table is loaded, no chain is made, by asking.
 *
 * @module
 */
import { iptablesBulk } from "../../lib/iptables/bulk.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import { nftHasChain, nftPolicy, nftRules } from "../../lib/iptables/nftables.ts";
import { legacyTables } from "../../lib/iptables/variant.ts";
import type { Family } from "../../lib/net/address.ts";
import { xtablesInfo } from "../../lib/sys/xtables.ts";
import { PLACES } from "./places.ts";

export interface Where {
  readonly variant: IptablesVariant;
  readonly family: Family;
}

type Table = "filter" | "nat";

/** Whether the variant has the table, so that looking into it makes none. */
function hasTable({ variant, family }: Where, table: Table, builtIn: string): boolean {
  return variant === "legacy" ? legacyTables(family).includes(table) : nftHasChain(family, table, builtIn);
}

export async function hasChain(where: Where, table: Table, chain: string): Promise<boolean> {
  const { variant, family } = where;
  if (variant === "nft") return nftHasChain(family, table, chain);
  return legacyTables(family).includes(table) && (await rulesOf(where, table, chain)) !== undefined;
}

/** The rules of a built-in chain as iptables takes them back; none where the table was never used. */
export async function builtInRules(where: Where, table: Table, chain: string): Promise<readonly string[]> {
  return hasTable(where, table, chain) ? ((await rulesOf(where, table, chain)) ?? []) : [];
}

/** What tells that a chain, and a jump there, are as they were; empty if either is missing. */
export async function chainState(
  where: Where,
  { table, from, chain }: { readonly table: Table; readonly from: string; readonly chain: string },
): Promise<string> {
  const { variant, family } = where;
  if (variant === "nft") {
    if (!nftRules(family, table, from).jumpsTo(chain)) return "";
    return nftRules(family, table, chain).handles.join(" ");
  }
  const isLedTo = (await builtInRules(where, table, from)).some((rule) => leadsTo(rule, chain));
  return !isLedTo ? "" : ((await rulesOf(where, table, chain)) ?? []).join("\n");
}

/** Whether somebody beside us decides there what is forwarded: rules, or a policy that drops. */
export async function forwardIsUsed(where: Where): Promise<boolean> {
  const { variant, family } = where;
  if (!hasTable(where, "filter", "FORWARD")) return false;
  if (variant === "nft") {
    const rules = nftRules(family, "filter", "FORWARD");
    return (
      rules.count > (rules.jumpsTo(PLACES.accept.chain) ? 1 : 0) || nftPolicy(family, "filter", "FORWARD") === "DROP"
    );
  }
  let used = false;
  await iptablesBulk({ variant }).save(family, "filter", (line) => {
    used ||=
      line.startsWith(":FORWARD DROP") || (line.startsWith("-A FORWARD ") && !leadsTo(line, PLACES.accept.chain));
    return !used;
  });
  return used;
}

/** Whether a rule is a jump to a chain. */
export function leadsTo(rule: string, chain: string): boolean {
  return rule === `-j ${chain}` || rule.endsWith(` -j ${chain}`);
}

/** A number that nearly every change of iptables-legacy's tables changes; it tells nobody of any. */
export function legacySizes(): string {
  const sizes = ([4, 6] as const).flatMap((family) =>
    legacyTables(family)
      .filter((table) => table === "filter" || table === "nat")
      .map((table) => `${family} ${table} ${JSON.stringify(xtablesInfo(family, table))}`),
  );
  return sizes.join();
}

async function rulesOf({ variant, family }: Where, table: Table, chain: string) {
  const lines = await iptablesBulk({ variant }).rules(family, table, chain);
  return lines?.map((line) => line.slice(`-A ${chain} `.length));
}
