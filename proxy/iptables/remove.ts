/**
 * Takes chains away: stale ones after a restart, all of them when a proxy leaves the host.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { isTsnetError } from "../../lib/errors.ts";
import { IpsetTransaction } from "../../lib/ipset/transaction.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import type { IptablesTable } from "../../lib/iptables/transaction.ts";
import { JUMPS } from "./base.ts";
import { chainNames, type ProxyHost, proxyHost, setNames } from "./host.ts";
import {
  CANARY,
  EXTERNAL_SERVICES,
  FORWARD,
  isAffinitySet,
  isServiceChain,
  MARK_MASQ,
  NODE_PORTS,
  POSTROUTING,
  PROBE,
  PROXY_FIREWALL,
  SERVICES,
} from "./names.ts";
import { tableText } from "./text.ts";

/** kube-proxy's chains beside those of services. */
const TOP: Readonly<Record<"nat" | "filter" | "mangle", readonly string[]>> = {
  nat: [SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ, CANARY],
  filter: [SERVICES, EXTERNAL_SERVICES, FORWARD, NODE_PORTS, PROXY_FIREWALL, CANARY],
  mangle: [CANARY, PROBE],
};

const AT_ONCE = 500;
// The log shall show what kind of chains they are.
const NAMES = 5;
const LET_GO_MS = 20;

/**
 * Removes the service rules of one family and variant, whoever made them: ours, or a real kube-proxy's. The jumps go
 * first. KUBE-FIREWALL, which is kubelet's too, stays. Fine where there are none.
 *
 * @returns how many chains went.
 * @throws TsnetError as {@link IptablesBulk.restore} does.
 */
export async function removeIptablesRules(family: 4 | 6, variant: IptablesVariant, log: Log): Promise<number> {
  const host = proxyHost(family, variant);
  let removed = 0;
  for (const table of ["filter", "nat", "mangle"] as const) {
    const chains = (await chainNames(host, table)).filter((chain) => isKubeProxys(table, chain));
    await removeJumps(host, table);
    const held = await removeChains(host, table, chains, () => true, log);
    removed += chains.length - held.length;
  }
  return removed;
}

function isKubeProxys(table: "nat" | "filter" | "mangle", chain: string): boolean {
  return TOP[table].includes(chain) || (table === "nat" && isServiceChain(chain));
}

async function removeJumps({ iptables, family }: ProxyHost, table: IptablesTable): Promise<void> {
  const targets = new Set(JUMPS.map(({ to }) => to));
  const commands: string[] = [];
  for (const chain of new Set(JUMPS.filter((jump) => jump.table === table).map((jump) => jump.chain))) {
    for (const line of (await iptables.rules(family, table, chain)) ?? []) {
      const target = / -j (\S+)$/.exec(line)?.[1];
      if (target !== undefined && targets.has(target)) commands.push(line.replace(/^-A /, "-D "));
    }
  }
  await iptables.restore(family, tableText(table, { commands }));
}

/**
 * Empties the chains, then deletes them, some hundred at a time: what jumps to what does not matter. `stillStale` is
 * asked again right before each step.
 *
 * @returns those that stay, empty, since a rule of somebody else's jumps there.
 */
export async function removeChains(
  host: ProxyHost,
  table: IptablesTable,
  chains: readonly string[],
  stillStale: (chain: string) => boolean,
  log: Log,
): Promise<readonly string[]> {
  const { iptables, family, variant } = host;
  const atOnce = variant === "legacy" ? chains.length : AT_ONCE;
  const parts: (readonly string[])[] = [];
  for (let at = 0; at < chains.length; at += atOnce) parts.push(chains.slice(at, at + atOnce));
  // A few chains go in one call.
  for (const part of parts.length > 1 ? parts : []) {
    await iptables.restore(family, tableText(table, { write: emptied(part.filter(stillStale)) }));
  }
  const held: string[] = [];
  for (const part of parts) held.push(...(await deleteChains(host, table, part, stillStale)));
  if (held.length > 0) {
    const chains = held.slice(0, NAMES);
    log.warn(`chains of table ${table} stay, as somebody else's rules jump there`, {
      family,
      held: held.length,
      chains,
    });
  }
  return held;
}

/** Those that are held are found by halves, since one of them keeps all of a call. */
async function deleteChains(
  host: ProxyHost,
  table: IptablesTable,
  chains: readonly string[],
  stillStale: (chain: string) => boolean,
): Promise<readonly string[]> {
  const { iptables, family } = host;
  const stale = chains.filter(stillStale);
  try {
    await iptables.restore(family, tableText(table, { remove: stale }));
    return [];
  } catch (error) {
    if (!isTsnetError(error, "busy")) throw error;
  }
  await iptables.restore(family, tableText(table, { write: emptied(stale) }));
  if (stale.length === 1) return stale;
  const held: string[] = [];
  for (const half of halves(stale)) held.push(...(await deleteChains(host, table, half, stillStale)));
  return held;
}

function emptied(chains: readonly string[]): ReadonlyMap<string, readonly string[]> {
  return new Map(chains.map((chain) => [chain, []]));
}

/** Removes the sets of the family that `keep` does not have. */
export async function removeSets(host: ProxyHost, keep: ReadonlySet<string>, log: Log): Promise<void> {
  let stale: readonly string[] = (await setNames(host)).filter(
    (name) => isAffinitySet(host.family, name) && !keep.has(name),
  );
  // The kernel lets go of a set a moment after the rules that named it are gone.
  for (let tries = 10; stale.length > 0 && tries > 0; tries--) {
    stale = await destroySets(host, stale);
    if (stale.length > 0) await new Promise((resolve) => setTimeout(resolve, LET_GO_MS));
  }
  if (stale.length > 0) log.warn("sets of clients stay, as somebody's rules name them", { sets: stale });
}

/** Returns those that a rule still names. */
export async function destroySets({ ipset }: ProxyHost, names: readonly string[]): Promise<readonly string[]> {
  const held: string[] = [];
  const destroy = async (some: readonly string[]): Promise<void> => {
    const tx = new IpsetTransaction();
    for (const name of some) tx.destroy(name);
    try {
      await ipset.run(tx);
    } catch (error) {
      if (!isTsnetError(error, "busy")) throw error;
      // It goes up to the first that is held. Those before are fine to be destroyed again.
      if (some.length === 1) held.push(...some);
      else for (const half of halves(some)) await destroy(half);
    }
  };
  await destroy(names);
  return held;
}

function halves<T>(list: readonly T[]): readonly (readonly T[])[] {
  const middle = list.length >> 1;
  return [list.slice(0, middle), list.slice(middle)];
}
