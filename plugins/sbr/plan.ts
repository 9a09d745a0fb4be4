/**
 * Which rules and routes take an interface's addresses out of the main table: pure.
 *
 * @module
 */
import type { CniIp } from "../../lib/cni/types.ts";
import { type Address, bitsOf, type Family, sameAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, networkOf, sameCidr } from "../../lib/net/cidr.ts";
import { RT_SCOPE_LINK, RT_TABLE_MAIN, RTN_UNICAST, RTPROT_TSNET } from "../../lib/netlink/constants.ts";
import type { Route, RouteSpec } from "../../lib/netlink/route.ts";
import type { Rule, RuleSpec } from "../../lib/netlink/rule.ts";
import type { SbrConfig } from "./config.ts";

/** What a container's namespace has. */
export interface Present {
  readonly rules: readonly Rule[];
  readonly routes: readonly Route[];
}

/** An interface and its addresses. */
export interface Subject {
  /** Of the link. */
  readonly index: number;
  readonly ips: readonly CniIp[];
}

export interface Plan {
  readonly rules: readonly RuleSpec[];
  /** In this order: gateways come after the routes that lead to them. */
  readonly add: readonly RouteSpec[];
  /** Of the main table, in this order: gateways go before the routes that lead to them. */
  readonly remove: readonly Route[];
}

// The reference plugin's first.
const FIRST_TABLE = 100;
// linux/rtnetlink.h: default, main and local.
const RESERVED_TABLES: readonly number[] = [253, 254, 255];
// Of a route of IPv6 that was given none: IP6_RT_PRIO_USER of the kernel's net/ip6_route.h.
const DEFAULT_METRIC = { 4: 0, 6: 1024 } as const;
// fe80::/10
const LINK_LOCAL: Cidr = { address: { family: 6, value: 0xfe80n << 112n }, prefix: 10 };

/** The rules and routes for each address; rules alone where the config names a table. */
export function planRouting(config: SbrConfig, { index, ips }: Subject, present: Present): Plan {
  if (config.table !== undefined) return { rules: rulesTo(ips, () => config.table ?? 0), add: [], remove: [] };
  const tables = freeTables(present, ips.length);
  const main = present.routes.filter(
    (route) => route.dev === index && route.table === RT_TABLE_MAIN && route.type === RTN_UNICAST,
  );
  const copies = ips.flatMap((ip, i) => routesOf(ip, config, { index, main, table: tables[i] ?? 0 }));
  const hints = config.addSourceHints ? ips.map(({ address }) => hintOf(address, index)) : [];
  return {
    rules: rulesTo(ips, (i) => tables[i] ?? 0),
    add: [...copies, ...hints.filter((hint) => !main.some((route) => serves(route, hint)))],
    remove: inOrder(main.filter((route) => !staysInMain(route, hints))).reverse(),
  };
}

/** The rule of one address: nothing else of its subnet is meant. */
export function sourceOf({ address }: CniIp): Cidr {
  return { address: address.address, prefix: bitsOf(address.address.family) };
}

/** The gateway of an address's table: the config's comes before the result's. */
export function gatewayFor({ address, gateway }: CniIp, config: SbrConfig): Address | undefined {
  return config.gateways.find(({ family }) => family === address.address.family) ?? gateway;
}

/** The route that leads the subnet's packets out from the address, in the main table. */
export function hintOf(address: Cidr, index: number): RouteSpec {
  const hint = {
    dst: networkOf(address),
    dev: index,
    src: address.address,
    scope: RT_SCOPE_LINK,
    protocol: RTPROT_TSNET,
  };
  // IPv6 has one route to a destination with a metric: two interfaces may be in one subnet.
  return address.address.family === 4 ? hint : { ...hint, priority: DEFAULT_METRIC[6] + index };
}

/** Whether a route does what a hint would. */
export function serves(route: Route, { dst, dev, src }: RouteSpec): boolean {
  return (
    route.table === RT_TABLE_MAIN &&
    route.dev === dev &&
    sameCidr(route.dst, dst) &&
    route.gateway === undefined &&
    route.src !== undefined &&
    src !== undefined &&
    sameAddress(route.src, src)
  );
}

function rulesTo(ips: readonly CniIp[], table: (i: number) => number): readonly RuleSpec[] {
  return ips.map((ip, i) => ({ src: sourceOf(ip), table: table(i), protocol: RTPROT_TSNET }));
}

/** The first tables that neither a rule nor a route names. */
function freeTables({ rules, routes }: Present, count: number): readonly number[] {
  const taken = new Set([...RESERVED_TABLES, ...rules.map(({ table }) => table), ...routes.map(({ table }) => table)]);
  const free: number[] = [];
  for (let table = FIRST_TABLE; free.length < count; table++) if (!taken.has(table)) free.push(table);
  return free;
}

/** What the table of an address holds: the routes of the main table that are for it, and a default route. */
function routesOf(
  ip: CniIp,
  config: SbrConfig,
  { index, main, table }: { readonly index: number; readonly main: readonly Route[]; readonly table: number },
): readonly RouteSpec[] {
  const { address } = ip.address;
  const isFixed = config.gateways.some(({ family }) => family === address.family);
  const copies = main
    .filter((route) => isFor(route, ip.address) && !(isFixed && route.dst.prefix === 0))
    .map(({ family: _, ...route }) => ({ ...route, table }));
  const gateway = gatewayFor(ip, config);
  if (gateway === undefined || copies.some((route) => isDefault(route, address.family))) return inOrder(copies);
  const dst = { address: { family: address.family, value: 0n }, prefix: 0 };
  return inOrder([...copies, { dst, gateway, dev: index, table }]);
}

/** A route that names neither source nor gateway is for every address of its family. */
function isFor({ family, src, gateway }: Route, address: Cidr): boolean {
  if (family !== address.address.family) return false;
  if (src === undefined && gateway === undefined) return true;
  return [src, gateway].some((one) => one !== undefined && contains(address, one));
}

function isDefault({ dst, priority }: RouteSpec, family: Family): boolean {
  return dst.prefix === 0 && (priority ?? DEFAULT_METRIC[family]) === DEFAULT_METRIC[family];
}

/** Neighbours are spoken to by link-local addresses whatever the table; and a hint is what the main table is to keep. */
function staysInMain(route: Route, hints: readonly RouteSpec[]): boolean {
  return contains(LINK_LOCAL, route.dst.address) || hints.some((hint) => serves(route, hint));
}

/** What is on the link itself first. */
function inOrder<T extends RouteSpec>(routes: readonly T[]): T[] {
  return [
    ...routes.filter(({ gateway }) => gateway === undefined),
    ...routes.filter(({ gateway }) => gateway !== undefined),
  ];
}
