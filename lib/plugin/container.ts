/**
 * A container's interface, once it is there: up, with its addresses, its routes and what IPv6 needs.
 *
 * @module
 */
import type { CniIp, CniRoute } from "../cni/types.ts";
import { hasErrno } from "../errors.ts";
import { warn } from "../log.ts";
import type { Address } from "../net/address.ts";
import { networkOf, sameCidr } from "../net/cidr.ts";
import { addrReplace } from "../netlink/addr.ts";
import { RT_TABLE_MAIN, RTPROT_KERNEL } from "../netlink/constants.ts";
import { type Link, linkSet } from "../netlink/link.ts";
import { type Route, type RouteSpec, routeAdd, routeList, routePrepend, routeReplace } from "../netlink/route.ts";
import type { RtSocket } from "../netlink/socket.ts";
import { writeSysctls } from "../sys/files.ts";
import type { Netns } from "../sys/netns.ts";

/** What the interface gets. */
export interface ContainerSettings {
  readonly link: Pick<Link, "index" | "name">;
  readonly ips: readonly CniIp[];
  /** As they go into the table: see {@link routesToSet} of routes.ts. */
  readonly routes: readonly ContainerRoute[];
  /** Whether IPv6 addresses go through duplicate address detection: not where they are ours to give. */
  readonly enableDad?: boolean;
  /** The addresses bring no route to their network along. */
  readonly noPrefixRoute?: boolean;
}

/** A route of a result, and which address packets by it come from. */
export interface ContainerRoute extends CniRoute {
  readonly src?: Address;
}

/** Brings the container's interface up with its addresses and routes. */
export function configureContainer(container: RtSocket, netns: Netns, settings: ContainerSettings): void {
  const { link, ips, routes, enableDad = false, noPrefixRoute = false } = settings;
  writeSysctls(netns, sysctlsOf(link.name, ips, enableDad), doWithout);
  for (const ip of ips)
    addrReplace(container, { index: link.index, cidr: ip.address, noDad: !enableDad, noPrefixRoute });
  linkSet(container, link.index, { up: true });
  for (const route of routes) setRoute(container, link, route);
}

/**
 * Sets a route over the link. What the kernel set there for an address is replaced; the route of another link to the
 * same destination, such as another network's default route, comes after ours, and counts again when ours goes.
 */
export function setRoute(container: RtSocket, link: Pick<Link, "index">, route: ContainerRoute): void {
  const { dst, gw, ...rest } = route;
  const spec = { dst, dev: link.index, ...rest, ...(gw === undefined ? {} : { gateway: gw }) };
  if (routeAdd(container, spec)) return;
  const there = routesInPlace(container, spec);
  if (there.every(({ protocol, dev }) => protocol === RTPROT_KERNEL && dev === link.index))
    routeReplace(container, spec);
  else if (dst.address.family === 6 && route.priority === undefined)
    // IPv6 would use both by turns.
    routeAdd(container, { ...spec, priority: Math.min(...there.map(({ priority = 0 }) => priority)) - 1 });
  else routePrepend(container, spec);
}

/** Those to the same destination in the same table: of IPv4 with the same metric, of IPv6 without the kernel's own. */
function routesInPlace(container: RtSocket, { dst, table = RT_TABLE_MAIN, priority = 0 }: RouteSpec): readonly Route[] {
  const { family } = dst.address;
  return routeList(container, { family })
    .filter((there) => there.table === table && sameCidr(there.dst, networkOf(dst)))
    .filter((there) => (family === 6 ? there.protocol !== RTPROT_KERNEL : (there.priority ?? 0) === priority));
}

/**
 * Inside an unprivileged container /proc/sys is read-only. What we set there makes things quicker or safer, but for
 * IPv6 itself, without which there is no address. To be given to `writeSysctls`.
 */
export function doWithout(key: string, error: unknown): void {
  if (!hasErrno(error, "EROFS") || key.endsWith("/disable_ipv6")) throw error;
  warn(`${key.replaceAll("/", ".")} stays as it is: /proc/sys is read-only`);
}

/** arp_notify announces addresses as they come; IPv6 is switched on where the container's default is off. */
function sysctlsOf(link: string, ips: readonly CniIp[], enableDad: boolean): readonly (readonly [string, string])[] {
  const ipv6 = `net/ipv6/conf/${link}`;
  const both = [[`net/ipv4/conf/${link}/arp_notify`, "1"]] as const;
  if (!ips.some((ip) => ip.address.address.family === 6)) return both;
  return [
    ...both,
    [`${ipv6}/disable_ipv6`, "0"],
    [`${ipv6}/keep_addr_on_down`, "1"],
    [`${ipv6}/accept_dad`, enableDad ? "1" : "0"],
    ...(enableDad ? ([[`${ipv6}/enhanced_dad`, "1"]] as const) : []),
  ];
}
