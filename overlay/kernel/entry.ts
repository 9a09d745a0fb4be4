/**
 * What the kernel holds for peers, as values that can be compared: routes, neighbours, FDB entries.
 *
 * An entry's slot is what the kernel finds it by; two entries of one slot exclude each other (or, of routes, the
 * first hides the second). Whether the kernel has what is wanted is then one look-up and one comparison.
 *
 * @module
 */
import { type Address, type Family, formatAddress, sameAddress } from "../../lib/net/address.ts";
import { formatCidr } from "../../lib/net/cidr.ts";
import { RT_TABLE_MAIN, RTN_UNICAST, RTPROT_BOOT } from "../../lib/netlink/constants.ts";
import type { FdbEntry } from "../../lib/netlink/fdb.ts";
import type { Neigh } from "../../lib/netlink/neigh.ts";
import type { RouteSpec } from "../../lib/netlink/route.ts";
import type { Repair } from "./fabric.ts";

export interface RouteEntry {
  readonly kind: "route";
  readonly slot: string;
  readonly route: RouteSpec;
}

export interface NeighbourEntry {
  readonly kind: "neighbour";
  readonly slot: string;
  readonly neigh: Neigh;
}

export interface FdbLine {
  readonly kind: "fdb";
  readonly slot: string;
  readonly fdb: FdbEntry;
}

export type Entry = RouteEntry | NeighbourEntry | FdbLine;

// IP6_RT_PRIO_USER of net/ip6_route.h: what the kernel gives a route of IPv6 that names no metric.
const IPV6_DEFAULT_METRIC = 1024;

export function routeEntry(route: RouteSpec): RouteEntry {
  const { address, prefix } = route.dst;
  const metric = route.priority ?? (address.family === 6 ? IPV6_DEFAULT_METRIC : 0);
  const slot = `r${numberOf(address)}/${prefix} ${route.table ?? RT_TABLE_MAIN} ${metric}`;
  return { kind: "route", slot, route };
}

export function neighbourEntry(neigh: Neigh): NeighbourEntry {
  return { kind: "neighbour", slot: `n${numberOf(neigh.address)} ${neigh.index}`, neigh };
}

export function fdbLine(fdb: FdbEntry): FdbLine {
  return { kind: "fdb", slot: `f${fdb.mac} ${fdb.index}`, fdb };
}

/** Whether `found`, of the kernel, is what is wanted in its slot. */
export function sameEntry(found: Entry, wanted: Entry): boolean {
  if (found.kind === "route") return wanted.kind === "route" && sameRoute(found.route, wanted.route);
  if (found.kind === "neighbour") {
    return (
      wanted.kind === "neighbour" &&
      found.neigh.mac === wanted.neigh.mac &&
      found.neigh.permanent === wanted.neigh.permanent
    );
  }
  return wanted.kind === "fdb" && sameTarget(found.fdb, wanted.fdb);
}

/**
 * Whether asking the kernel to delete the one could take the other: it looks at less than what makes them differ
 * (fib_table_delete in net/ipv4/fib_trie.c, ip6_route_del in net/ipv6/route.c).
 */
export function deletedWith(a: Entry, b: Entry): boolean {
  if (a.slot !== b.slot) return false;
  if (a.kind === "route") return b.kind === "route" && sameHop(a.route, b.route);
  if (a.kind === "fdb") return b.kind === "fdb" && sameTarget(a.fdb, b.fdb);
  return true;
}

/** The link that it is on, by index. */
export function deviceOf(entry: Entry): number | undefined {
  if (entry.kind === "route") return entry.route.dev;
  return entry.kind === "neighbour" ? entry.neigh.index : entry.fdb.index;
}

/** In the words of `ip` and `bridge`. `nameOf` tells a link's name by its index. */
export function describeEntry(entry: Entry, nameOf: (index: number) => string): string {
  if (entry.kind === "neighbour") {
    const { address, mac, index } = entry.neigh;
    return `${formatAddress(address)}${mac === undefined ? "" : ` lladdr ${mac}`} dev ${nameOf(index)}`;
  }
  if (entry.kind === "fdb") {
    return `${entry.fdb.mac} dst ${formatAddress(entry.fdb.dst)} dev ${nameOf(entry.fdb.index)}`;
  }
  const { dst, gateway, dev, type = RTN_UNICAST } = entry.route;
  if (type !== RTN_UNICAST) return `${ROUTE_TYPES[type] ?? `type ${type}`} ${formatCidr(dst)}`;
  const via = gateway === undefined ? "" : ` via ${formatAddress(gateway)}`;
  return `${formatCidr(dst)}${via}${dev === undefined ? "" : ` dev ${nameOf(dev)}`}`;
}

export function repairOf(entry: Entry, found: Repair["found"], nameOf: (index: number) => string): Repair {
  return { kind: entry.kind, object: describeEntry(entry, nameOf), found };
}

// RTN_* of linux/rtnetlink.h.
const ROUTE_TYPES: Readonly<Record<number, string>> = { 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw" };

function sameRoute(found: RouteSpec, wanted: RouteSpec): boolean {
  return (
    (found.type ?? RTN_UNICAST) === (wanted.type ?? RTN_UNICAST) &&
    sameHop(found, wanted) &&
    (found.onlink ?? false) === (wanted.onlink ?? false) &&
    found.mtu === wanted.mtu &&
    found.advmss === wanted.advmss
  );
}

function sameHop(a: RouteSpec, b: RouteSpec): boolean {
  return (
    (a.protocol ?? RTPROT_BOOT) === (b.protocol ?? RTPROT_BOOT) &&
    // A blackhole of IPv6 is shown on lo, one of IPv4 on nothing.
    ((a.type ?? RTN_UNICAST) !== RTN_UNICAST || a.dev === b.dev) &&
    maybeSame(a.gateway, b.gateway) &&
    maybeSame(a.src, b.src)
  );
}

function sameTarget(a: FdbEntry, b: FdbEntry): boolean {
  return sameAddress(a.dst, b.dst) && a.port === b.port && a.vni === b.vni && a.link === b.link;
}

function maybeSame(a: Address | undefined, b: Address | undefined): boolean {
  return a === undefined || b === undefined ? a === b : sameAddress(a, b);
}

/** Short, and cheap to make: thousands are made in one go. */
function numberOf({ family, value }: { readonly family: Family; readonly value: bigint }): string {
  return family === 4 ? String(Number(value)) : `x${value.toString(16)}`;
}
