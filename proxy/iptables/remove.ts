/**
 * Takes chains away: stale ones after a restart, all of them when a proxy leaves the host.
 *
 * @module
 */
import { isTsnetError, messageOf } from "../../lib/errors.ts";
import { IpsetTransaction } from "../../lib/ipset/transaction.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import type { IptablesTable } from "../../lib/iptables/transaction.ts";
import type { Log } from "../log.ts";
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
    await removeChains(host, table, chains, () => true, log);
    removed += chains.length;
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
 */
export async function removeChains(
  { iptables, family, variant }: ProxyHost,
  table: IptablesTable,
  chains: readonly string[],
  stillStale: (chain: string) => boolean,
  log: Log,
): Promise<void> {
  const atOnce = variant === "legacy" ? chains.length : AT_ONCE;
  const steps = chains.length <= atOnce ? (["both"] as const) : (["empty", "delete"] as const);
  for (const step of steps) {
    for (let at = 0; at < chains.length; at += atOnce) {
      const part = chains.slice(at, at + atOnce).filter(stillStale);
      const empty = new Map(part.map((chain) => [chain, []]));
      await iptables
        .restore(family, tableText(table, step === "empty" ? { write: empty } : { remove: part }))
        .catch((error: unknown) => {
          // Somebody else's rule jumps there.
          if (!isTsnetError(error, "busy")) throw error;
          log.warn(`chains of table ${table} that are in use stay: ${messageOf(error)}`, { family });
        });
    }
  }
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
