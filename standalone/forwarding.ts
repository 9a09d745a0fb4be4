/**
 * The host as a router. A network with a gateway needs forwarding, and turning it on makes the host a router for
 * everybody. Where it was off before us, what comes in by one link of the host's own and would leave by another is
 * dropped: only what is from or to our links is forwarded.
 *
 * Links that come later are left out on purpose: another program's bridge relies on forwarding that it finds on.
 * The switch itself stays on when our last network goes, since others may rely on it by then.
 *
 * @module
 */

import { isTsnetError } from "../lib/errors.ts";
import { warn } from "../lib/log.ts";
import type { Family } from "../lib/net/address.ts";
import { type Nft, realNft } from "../lib/nft/nft.ts";
import { NftTransaction } from "../lib/nft/transaction.ts";
import { readSysctl } from "../lib/sys/files.ts";
import { list, number, object, text } from "./state/shape.ts";
import type { State } from "./state/state.ts";

const SWITCH = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;
const TABLE = { family: "inet", table: "tsnet-guard" } as const;
const NOTE = "forwarding";

/** What was turned on by us, and the links that the host had then. */
const parseGuard = object({ families: list(number), links: list(text) });
type Guard = ReturnType<typeof parseGuard>;

/**
 * Guards the host before a network of `families` turns forwarding on; to be called before each `up`, for somebody
 * may have flushed the rules. `links` are the host's own that have routes.
 */
export async function guardForwarding(
  state: State,
  families: readonly Family[],
  links: readonly string[],
  nft: Nft = realNft(),
): Promise<void> {
  const before = state.note(NOTE, parseGuard);
  const off = families.filter((family) => readSysctl(SWITCH[family]) === "0");
  const guard: Guard = {
    families: [...new Set([...(before?.families ?? []), ...off])].toSorted(),
    links: [...new Set([...(before?.links ?? []), ...(off.length > 0 ? links : [])])].toSorted(),
  };
  if (guard.families.length === 0) return;
  // The note first: rules without one would be nobody's.
  state.putNote(NOTE, guard);
  await runOrWarn(nft, guardTransaction(guard));
}

/** Whether the guard is in the kernel, if there shall be one. Of its rules their number is compared. */
export async function isGuarded(state: State, nft: Nft = realNft()): Promise<boolean> {
  const guard = state.note(NOTE, parseGuard);
  if (guard === undefined) return true;
  try {
    const table = await nft.list(TABLE.family, TABLE.table);
    return table?.chains.get("forward")?.rules.length === guard.families.length;
  } catch (error) {
    if (isTsnetError(error, "not-found", "kernel-lacks")) return true;
    throw error;
  }
}

/** Puts the guard back. */
export async function restoreGuard(state: State, nft: Nft = realNft()): Promise<void> {
  const guard = state.note(NOTE, parseGuard);
  if (guard !== undefined) await runOrWarn(nft, guardTransaction(guard));
}

/** Writes anew what was to be remembered of the guard and is not, by what of it is in the kernel. */
export async function recallGuard(state: State, nft: Nft = realNft()): Promise<void> {
  if (state.note(NOTE, parseGuard) !== undefined) return;
  try {
    const table = await nft.list(TABLE.family, TABLE.table);
    if (table === undefined) return;
    const rules = JSON.stringify(table.chains.get("forward")?.rules ?? []);
    const elements = table.sets.get("transit")?.elements ?? [];
    const links = elements.flatMap(({ key }) => key.replaceAll('"', "").split(" . "));
    const families = ([4, 6] as const).filter((family) => rules.includes(`"ipv${family}"`));
    state.putNote(NOTE, { families, links: [...new Set(links)].toSorted() } satisfies Guard);
  } catch (error) {
    if (!isTsnetError(error, "not-found", "kernel-lacks")) throw error;
  }
}

/** Takes the guard away, and returns the switches that stay on by our doing, as sysctl(8) names them. */
export async function unguardForwarding(state: State, nft: Nft = realNft()): Promise<readonly string[]> {
  const guard = state.note(NOTE, parseGuard);
  if (guard === undefined) return [];
  await runOrWarn(nft, new NftTransaction().addTable(TABLE.family, TABLE.table).deleteTable(TABLE.family, TABLE.table));
  state.removeNote(NOTE);
  const keys = guard.families.map((family) => (family === 4 ? SWITCH[4] : SWITCH[6]));
  return keys.filter((key) => readSysctl(key) === "1").map((key) => key.replaceAll("/", "."));
}

/** The guard's rules, whole: what was there before is replaced. */
export function guardTransaction({ families, links }: Guard): NftTransaction {
  const chain = { ...TABLE, chain: "forward" };
  const tx = new NftTransaction()
    .addTable(TABLE.family, TABLE.table)
    .deleteTable(TABLE.family, TABLE.table)
    .addTable(TABLE.family, TABLE.table)
    .addChain({ ...chain, hook: { type: "filter", hook: "forward", priority: 0, policy: "accept" } })
    .addSet({ ...TABLE, set: "transit", typeof: "iifname . oifname" });
  for (const from of links) {
    for (const to of links) if (from !== to) tx.addElement({ ...TABLE, set: "transit", key: `"${from}" . "${to}"` });
  }
  for (const family of families) {
    tx.addRule({ ...chain, rule: `meta nfproto ${family === 4 ? "ipv4" : "ipv6"} iifname . oifname @transit drop` });
  }
  return tx;
}

/** A host without nftables still gets its networks, and is told what it lacks. */
async function runOrWarn(nft: Nft, transaction: NftTransaction): Promise<void> {
  try {
    await nft.run(transaction);
  } catch (error) {
    if (!isTsnetError(error, "not-found", "kernel-lacks")) throw error;
    warn("nftables does not work here, so nothing keeps this host from forwarding between its own links");
  }
}
