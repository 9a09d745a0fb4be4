/**
 * Sends entries to the kernel, in the order in which no packet finds half of what it needs: where a MAC is before the
 * route that leads to it, and the other way round on the way out.
 *
 * @module
 */
import { RtBatch } from "../../lib/netlink/batch.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { type Entry, routeEntry } from "./entry.ts";

export interface Refusal {
  readonly entry: Entry;
  /** The kernel's words. */
  readonly message: string;
  readonly errno: string;
}

/** What the kernel refused; the rest is done. */
export function applyEntries(
  socket: RtSocket,
  { put, drop }: { readonly put: readonly Entry[]; readonly drop: readonly Entry[] },
): readonly Refusal[] {
  if (put.length === 0 && drop.length === 0) return [];
  const sending = new Sending();
  for (const entry of put) if (entry.kind !== "route") sending.put(entry);
  for (const entry of put) if (entry.kind === "route") sending.put(entry);
  for (const entry of drop) if (entry.kind === "route") sending.drop(entry);
  for (const entry of drop) if (entry.kind !== "route") sending.drop(entry);
  const refusals = sending.commit(socket);
  const blocked = refusals.filter(isBlocked);
  return blocked.length === 0
    ? refusals
    : [
        ...refusals.filter((one) => !isBlocked(one)),
        ...unblock(
          socket,
          blocked.map(({ entry }) => entry),
        ),
      ];
}

/**
 * Whether the route that is there may be what keeps this one away. IPv6 takes no gateway for "onlink" that another
 * route than the default one leads to by another link, and the route to be replaced is such a route
 * (ip6_route_check_nh_onlink in net/ipv6/route.c).
 */
function isBlocked({ entry, errno }: Refusal): boolean {
  return errno === "EINVAL" && entry.kind === "route" && entry.route.dst.address.family === 6;
}

function unblock(socket: RtSocket, entries: readonly Entry[]): readonly Refusal[] {
  const sending = new Sending();
  for (const entry of entries) {
    if (entry.kind !== "route") continue;
    const { dst, table, priority } = entry.route;
    const route = { dst, ...(table === undefined ? {} : { table }), ...(priority === undefined ? {} : { priority }) };
    sending.drop(routeEntry(route));
    sending.put(entry);
  }
  return sending.commit(socket);
}

/** A batch that knows its entries. */
class Sending {
  readonly #batch = new RtBatch();
  readonly #entries: Entry[] = [];

  put(entry: Entry): void {
    this.#entries.push(entry);
    if (entry.kind === "route") this.#batch.routeReplace(entry.route);
    else if (entry.kind === "fdb") this.#batch.fdbReplace(entry.fdb);
    else
      this.#batch.neighReplace({ index: entry.neigh.index, address: entry.neigh.address, mac: entry.neigh.mac ?? "" });
  }

  drop(entry: Entry): void {
    this.#entries.push(entry);
    if (entry.kind === "route") this.#batch.routeDel(entry.route);
    else if (entry.kind === "fdb") this.#batch.fdbDel(entry.fdb);
    else this.#batch.neighDel(entry.neigh);
  }

  commit(socket: RtSocket): readonly Refusal[] {
    return this.#batch.commit(socket).flatMap(({ number, message, errno }) => {
      const entry = this.#entries[number];
      return entry === undefined ? [] : [{ entry, message, errno }];
    });
  }
}
