/**
 * Sends entries to the kernel, in the order in which no packet finds half of what it needs: where a MAC is before the
 * route that leads to it, and the other way round on the way out.
 *
 * @module
 */
import { formatCidr } from "../../lib/net/cidr.ts";
import { RtBatch } from "../../lib/netlink/batch.ts";
import { RTPROT_KERNEL } from "../../lib/netlink/constants.ts";
import { linkList } from "../../lib/netlink/link.ts";
import { routeList } from "../../lib/netlink/route.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { type Entry, type RouteEntry, routeEntry } from "./entry.ts";

export interface Refusal {
  readonly entry: Entry;
  /** The kernel's words. */
  readonly message: string;
  readonly errno: string;
}

export interface Changes {
  readonly put: readonly Entry[];
  readonly drop: readonly Entry[];
}

/** What the kernel refused; the rest is done. Routes that come with an address of the link `bridge` are replaced. */
export function applyEntries(socket: RtSocket, { put, drop }: Changes, bridge?: string): readonly Refusal[] {
  if (put.length === 0 && drop.length === 0) return [];
  const sending = new Sending();
  for (const entry of put) if (entry.kind !== "route") sending.put(entry);
  for (const entry of put) if (entry.kind === "route") isCautious(entry) ? sending.add(entry) : sending.put(entry);
  for (const entry of drop) if (entry.kind === "route") sending.drop(entry);
  for (const entry of drop) if (entry.kind !== "route") sending.drop(entry);
  const refusals = sending.commit(socket);
  if (refusals.length === 0) return refusals;
  const [blocked, taken] = [refusals.filter(isBlocked), refusals.filter(isTaken)];
  return [
    ...refusals.filter((one) => !isBlocked(one) && !isTaken(one)),
    ...(blocked.length === 0 ? [] : unblock(socket, entriesOf(blocked))),
    ...(taken.length === 0 ? [] : replaceOthers(socket, entriesOf(taken), bridge)),
  ];
}

/**
 * Whether what is there may be the route of a network that this host is on, which nobody would put back: of IPv4 such a
 * route has the metric that ours have.
 */
function isCautious(entry: Entry): entry is RouteEntry {
  return entry.kind === "route" && entry.route.dst.address.family === 4 && entry.route.type === undefined;
}

function isTaken({ entry, errno }: Refusal): boolean {
  return errno === "EEXIST" && isCautious(entry);
}

/** Routes that somebody has set give way to ours; those that came with an address of this host do not. */
function replaceOthers(socket: RtSocket, entries: readonly Entry[], bridge: string | undefined): readonly Refusal[] {
  const connected = connectedNetworks(socket);
  const sending = new Sending();
  const refusals: Refusal[] = [];
  for (const entry of entries) {
    const link = connected.get(entry.slot);
    if (entry.kind !== "route" || link === undefined || link === bridge) sending.put(entry);
    else {
      const message = `${formatCidr(entry.route.dst)} is a network that this host itself is on, by ${link}`;
      refusals.push({ entry, message, errno: "EEXIST" });
    }
  }
  return [...refusals, ...sending.commit(socket)];
}

/** Names of the links that this host's networks of IPv4 are on, by slot. */
function connectedNetworks(socket: RtSocket): ReadonlyMap<string, string> {
  const names = new Map(linkList(socket).map(({ index, name }) => [index, name]));
  const routes = routeList(socket, { family: 4 }).filter(({ protocol }) => protocol === RTPROT_KERNEL);
  return new Map(routes.map((route) => [routeEntry(route).slot, names.get(route.dev ?? 0) ?? "a link"]));
}

function entriesOf(refusals: readonly Refusal[]): readonly Entry[] {
  return refusals.map(({ entry }) => entry);
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

  add(entry: RouteEntry): void {
    this.#entries.push(entry);
    this.#batch.routeAdd(entry.route);
  }

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
