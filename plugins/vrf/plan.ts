/**
 * What an interface takes along into a VRF, which the kernel would drop on the way: pure.
 *
 * @module
 */
import { sameCidr } from "../../lib/net/cidr.ts";
import type { Addr } from "../../lib/netlink/addr.ts";
import { RT_SCOPE_UNIVERSE, RT_TABLE_MAIN, RTN_UNICAST, RTPROT_KERNEL } from "../../lib/netlink/constants.ts";
import { vrfTableOf } from "../../lib/netlink/kinds.ts";
import type { Link } from "../../lib/netlink/link.ts";
import type { Route, RouteSpec } from "../../lib/netlink/route.ts";
import type { Rule } from "../../lib/netlink/rule.ts";

/** What an interface has. */
export interface Belongings {
  readonly addresses: readonly Addr[];
  readonly routes: readonly Route[];
}

// linux/rtnetlink.h: default, main and local.
const RESERVED_TABLES: readonly number[] = [253, 254, 255];

/** A table that no VRF, rule or route of the namespace has. */
export function freeTable(links: readonly Link[], rules: readonly Rule[], routes: readonly Route[]): number {
  const taken = new Set([
    ...RESERVED_TABLES,
    ...links.map(vrfTableOf),
    ...[...rules, ...routes].map(({ table }) => table),
  ]);
  let table = 1;
  while (taken.has(table)) table++;
  return table;
}

/** IPv6 addresses go as the interface changes its master, unless net.ipv6.conf.*.keep_addr_on_down is set. */
export function missingAddresses(before: readonly Addr[], after: readonly Addr[]): readonly Addr[] {
  return before.filter(
    ({ scope, cidr }) =>
      scope === RT_SCOPE_UNIVERSE && cidr.address.family === 6 && !after.some((addr) => sameCidr(addr.cidr, cidr)),
  );
}

/**
 * The routes of `from` by the interface as they go into `table`, those on the link itself first. What the kernel sets
 * itself for an address it sets again.
 */
export function routesTo(
  table: number,
  routes: readonly Route[],
  { index, from = RT_TABLE_MAIN }: { readonly index: number; readonly from?: number },
): readonly RouteSpec[] {
  const moved = routes
    .filter((route) => route.dev === index && route.table === from && route.type === RTN_UNICAST)
    .filter(({ protocol }) => protocol !== RTPROT_KERNEL)
    .map(({ family: _, ...route }) => ({ ...route, table }));
  return [
    ...moved.filter(({ gateway }) => gateway === undefined),
    ...moved.filter(({ gateway }) => gateway !== undefined),
  ];
}
