/**
 * Sends entries to the kernel, in the order in which no packet finds half of what it needs: where a MAC is before the
 * route that leads to it, and the other way round on the way out.
 *
 * @module
 */
import { RtBatch } from "../../lib/netlink/batch.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import type { Entry } from "./entry.ts";

export interface Refusal {
  readonly entry: Entry;
  /** The kernel's words. */
  readonly message: string;
}

/** What the kernel refused; the rest is done. */
export function applyEntries(
  socket: RtSocket,
  { put, drop }: { readonly put: readonly Entry[]; readonly drop: readonly Entry[] },
): readonly Refusal[] {
  if (put.length === 0 && drop.length === 0) return [];
  const batch = new RtBatch();
  const sent = new Map<number, Entry>();
  for (const entry of put) if (entry.kind !== "route") sent.set(putOne(batch, entry), entry);
  for (const entry of put) if (entry.kind === "route") sent.set(putOne(batch, entry), entry);
  for (const entry of drop) if (entry.kind === "route") sent.set(dropOne(batch, entry), entry);
  for (const entry of drop) if (entry.kind !== "route") sent.set(dropOne(batch, entry), entry);
  return batch.commit(socket).flatMap(({ number, message }) => {
    const entry = sent.get(number);
    return entry === undefined ? [] : [{ entry, message }];
  });
}

function putOne(batch: RtBatch, entry: Entry): number {
  if (entry.kind === "route") return batch.routeReplace(entry.route);
  if (entry.kind === "fdb") return batch.fdbReplace(entry.fdb);
  const { index, address, mac = "" } = entry.neigh;
  return batch.neighReplace({ index, address, mac });
}

function dropOne(batch: RtBatch, entry: Entry): number {
  if (entry.kind === "route") return batch.routeDel(entry.route);
  if (entry.kind === "fdb") return batch.fdbDel(entry.fdb);
  const { index, address } = entry.neigh;
  return batch.neighDel({ index, address });
}
