/**
 * The routes of a result as they go into the container's table. Pure.
 *
 * @module
 */
import type { CniIp, CniRoute } from "../cni/types.ts";
import { type Address, type Family, sameAddress } from "../net/address.ts";
import { networkOf, sameCidr } from "../net/cidr.ts";
import { RT_SCOPE_LINK } from "../netlink/constants.ts";

/**
 * The routes that go into the container's table: their gateway is the network's where they name none, unless what
 * they lead to is on the link itself.
 */
export function routesToSet(ips: readonly CniIp[], routes: readonly CniRoute[]): readonly CniRoute[] {
  const wanted = routes.map((route) => {
    if (route.gw !== undefined || isOnLink(route, ips)) return route;
    const gw = gatewayFor(ips, route.dst.address.family);
    return gw === undefined ? route : { ...route, gw };
  });
  return withoutRepetition(wanted);
}

/** The first gateway of a family that the addresses name. */
export function gatewayFor(ips: readonly CniIp[], family: Family): Address | undefined {
  return ips.find((ip) => ip.gateway?.family === family)?.gateway;
}

export function withoutRepetition(routes: readonly CniRoute[]): readonly CniRoute[] {
  return routes.filter((route, index) => routes.findIndex((other) => sameRoute(other, route)) === index);
}

/** Whether no gateway is needed: the route says so by its scope, or leads to a subnet that the container is in. */
function isOnLink({ dst, scope }: CniRoute, ips: readonly CniIp[]): boolean {
  if (scope !== undefined && scope >= RT_SCOPE_LINK) return true;
  return ips.some((ip) => sameCidr(networkOf(ip.address), networkOf(dst)));
}

function sameRoute(a: CniRoute, b: CniRoute): boolean {
  const sameGateway = a.gw === undefined || b.gw === undefined ? a.gw === b.gw : sameAddress(a.gw, b.gw);
  return (
    sameGateway &&
    a.dst.prefix === b.dst.prefix &&
    sameAddress(a.dst.address, b.dst.address) &&
    a.table === b.table &&
    a.priority === b.priority
  );
}
