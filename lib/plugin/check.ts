/**
 * What CHECK looks at whatever the plugin: the interface, its MAC, its addresses and its routes are as the result
 * says. What others added beside them is fine.
 *
 * @module
 */
import type { CniIp, CniResult, CniRoute, PluginCall } from "../cni/types.ts";
import { TsnetError } from "../errors.ts";
import { sameAddress } from "../net/address.ts";
import { formatCidr, networkOf, sameCidr } from "../net/cidr.ts";
import { addrList } from "../netlink/addr.ts";
import { type Link, linkGet } from "../netlink/link.ts";
import { describeRoute, type Route, routeList } from "../netlink/route.ts";
import type { RtSocket } from "../netlink/socket.ts";

/** What CHECK throws: `check-failed`, with what was found and what was wanted. */
export function checkFailed(message: string): TsnetError {
  return new TsnetError(message, { code: "check-failed", op: "CHECK" });
}

/** The result of the ADD that CHECK looks after. @throws TsnetError `decoding` if the runtime gave none. */
export function previousResult(call: PluginCall): CniResult {
  if (call.conf.prevResult === undefined)
    throw new TsnetError("required prevResult missing", { code: "decoding", op: "CHECK" });
  return call.conf.prevResult;
}

/** The link of that name. @throws TsnetError `check-failed` calling it `what`. */
export function checkPresent(socket: RtSocket, name: string, what: string): Link {
  const link = linkGet(socket, name);
  if (link === undefined) throw checkFailed(`${what} ${name} is gone`);
  return link;
}

/** @throws TsnetError `check-failed` if the MAC is not the one that the result gave, if it gave one. */
export function checkMac(link: Link, wanted: string | undefined): void {
  if (wanted !== undefined && wanted !== "" && wanted.toLowerCase() !== link.mac)
    throw checkFailed(`${link.name} has the MAC ${link.mac}, wanted ${wanted}`);
}

/** The addresses of a result that are on the call's own interface, or that say of none. */
export function addressesOf(call: PluginCall, { ips, interfaces }: CniResult): readonly CniIp[] {
  return ips.filter((ip) => ip.interface === undefined || interfaces[ip.interface]?.name === call.ifname);
}

/** @throws TsnetError `check-failed` naming an address that `link` lacks. */
export function checkAddresses(container: RtSocket, link: Link, netns: string, ips: readonly CniIp[]): void {
  const found = addrList(container, { index: link.index });
  for (const { address } of ips) {
    if (!found.some((addr) => sameCidr(addr.cidr, address)))
      throw checkFailed(`${link.name} in ${netns} lacks the address ${formatCidr(address)}`);
  }
}

/** @throws TsnetError `check-failed` naming a route that the namespace lacks. */
export function checkRoutes(container: RtSocket, netns: string, wanted: readonly CniRoute[]): void {
  if (wanted.length === 0) return;
  const routes = routeList(container);
  for (const route of wanted) {
    if (routes.some((there) => isRoute(there, route))) continue;
    const { dst, gw } = route;
    throw checkFailed(
      `${netns} lacks the route ${describeRoute({ dst, ...(gw === undefined ? {} : { gateway: gw }) })}`,
    );
  }
}

function isRoute(there: Route, wanted: CniRoute): boolean {
  return (
    sameCidr(there.dst, networkOf(wanted.dst)) &&
    (wanted.gw === undefined || (there.gateway !== undefined && sameAddress(there.gateway, wanted.gw))) &&
    (wanted.table === undefined || there.table === wanted.table)
  );
}
