/**
 * Takes away chains and sets that nothing leads to any more: those of an earlier life, and those that changes left.
 *
 * Not at once: kernels before 6.2 notice only a moment after an element has gone that its chain is free. One that is
 * still held is tried again the next time.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { NftBatch } from "../../lib/nft/nftbatch.ts";
import { readRules, readSets } from "../../lib/nft/reading.ts";
import type { NfSocket } from "../../lib/sys/nfsocket.ts";
import type { BackendSettings } from "../backend.ts";
import { baseChains } from "./base.ts";
import type { Committed, Stale } from "./committed.ts";
import { listSets, tableOf } from "./sets.ts";
import { stickyOf } from "./sticky.ts";

const FREE_AFTER_MS = 1000;

/** Removes what has been unused for long enough; whether it removed anything. */
export function removeStale(socket: NfSocket, committed: Committed): boolean {
  if (committed.stale.size === 0) return false;
  const before = performance.now() - FREE_AFTER_MS;
  const due = [...committed.stale].filter(([, { since }]) => since <= before);
  return due.length > 0 && remove(socket, committed, new Map(due));
}

/** Looks for all that is in the table and belongs to no service; whether it removed anything. */
export function sweepTable(socket: NfSocket, settings: BackendSettings, committed: Committed): boolean {
  const at = tableOf(settings.family);
  const { chains, sets } = namesInUse(settings, committed);
  const stale = new Map<string, Stale>();
  for (const { chain } of readRules(socket, at))
    if (!chains.has(chain)) stale.set(chain, { kind: "chain", since: 0, emptied: false });
  for (const { set } of readSets(socket, at))
    if (!sets.has(set)) stale.set(set, { kind: "set", since: 0, emptied: false });
  for (const [name, each] of committed.stale) stale.set(name, each);
  return stale.size > 0 && remove(socket, committed, stale);
}

function namesInUse(settings: BackendSettings, { context, table, shared }: Committed) {
  const chains = new Set([...shared.keys(), ...baseChains(settings, table, context).map(({ chain }) => chain)]);
  const sets = new Set(listSets(context.sets).map(({ name }) => name));
  for (const ports of table.services.values()) {
    for (const rules of ports) {
      const sticky = rules.affinitySeconds === undefined ? undefined : stickyOf(rules, context);
      if (sticky === undefined) continue;
      for (const { chain } of sticky.chains) chains.add(chain);
      for (const { name } of sticky.members) sets.add(name);
      for (const { map } of sticky.affinity) sets.add(map.name);
    }
  }
  return { chains, sets };
}

/** All of them together, and where something is still held one by one. */
function remove(socket: NfSocket, committed: Committed, stale: ReadonlyMap<string, Stale>): boolean {
  if (send(socket, committed, stale)) return true;
  let removed = false;
  // Stale chains may lead to each other: all are emptied before any goes.
  for (const [name, each] of stale) {
    if (each.kind === "chain") flush(socket, committed, name);
  }
  for (const [name, each] of stale) removed = send(socket, committed, new Map([[name, each]])) || removed;
  return removed;
}

function send(socket: NfSocket, { context, stale: known }: Committed, stale: ReadonlyMap<string, Stale>): boolean {
  const at = tableOf(context.family);
  const batch = new NftBatch();
  for (const [chain, { kind }] of stale) if (kind === "chain") batch.flushChain({ ...at, chain });
  for (const [name, { kind }] of stale) {
    if (kind === "chain") batch.deleteChain({ ...at, chain: name });
    else batch.deleteSet({ ...at, set: name });
  }
  const refused = batch.send(socket);
  if (refused === undefined) for (const name of stale.keys()) known.delete(name);
  // Gone already, by somebody else's hand.
  else if (refused.errno === "ENOENT" && stale.size === 1) for (const name of stale.keys()) known.delete(name);
  else if (refused.errno !== "EBUSY" && refused.errno !== "ENOENT") {
    throw new TsnetError(`cannot remove stale chains and sets: ${refused.errno}`, {
      code: "io",
      op: "nftables sweep",
      errno: refused.errno,
    });
  }
  return refused === undefined;
}

function flush(socket: NfSocket, { context, stale }: Committed, chain: string): void {
  const batch = new NftBatch();
  batch.flushChain({ ...tableOf(context.family), chain });
  batch.send(socket);
  // Whoever uses it again has to write it.
  const known = stale.get(chain);
  if (known !== undefined) stale.set(chain, { ...known, emptied: true });
}
