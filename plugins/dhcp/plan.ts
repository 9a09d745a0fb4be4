/**
 * The result of an ADD from what a DHCP server said. Pure.
 *
 * @module
 */
import type { CniDns, CniResult, CniRoute } from "../../lib/cni/types.ts";
import {
  addressesOption,
  classlessRoutes,
  numberOption,
  OPTION,
  type Options,
  type ServerRoute,
  searchList,
  staticRoutes,
  textOption,
} from "../../lib/dhcp/options.ts";
import { type Address, formatAddress } from "../../lib/net/address.ts";
import type { DhcpConfig } from "./config.ts";
import type { Held } from "./protocol.ts";

// linux/rtnetlink.h
const RT_SCOPE_LINK = 253;

/** One address with its gateway, routes and name servers. */
export function resultOf({ address, options, mtu }: Held, { priority }: Pick<DhcpConfig, "priority">): CniResult {
  const [gateway] = addressesOption(options, OPTION.router);
  const most = mtuFor(options, mtu);
  const more = { ...(priority === undefined ? {} : { priority }), ...(most === undefined ? {} : { mtu: most }) };
  return {
    interfaces: [],
    ips: [{ address, ...(gateway === undefined ? {} : { gateway }) }],
    routes: routesFrom(options, gateway).map((route) => ({ ...route, ...more })),
    dns: dnsFrom(options),
  };
}

/** Who sends classless routes means them alone, without static routes and router: RFC 3442. */
function routesFrom(options: Options, gateway: Address | undefined): readonly CniRoute[] {
  const standard = classlessRoutes(options, OPTION.classlessRoute);
  const classless = standard.length > 0 ? standard : classlessRoutes(options, OPTION.microsoftRoute);
  if (classless.length > 0) return classless.map(routeOf);
  const byDefault: readonly CniRoute[] =
    gateway === undefined ? [] : [{ dst: { address: { family: 4, value: 0n }, prefix: 0 }, gw: gateway }];
  return [...staticRoutes(options).map(routeOf), ...byDefault];
}

function routeOf({ to, via }: ServerRoute): CniRoute {
  return via === undefined ? { dst: to, scope: RT_SCOPE_LINK } : { dst: to, gw: via };
}

/** The server's MTU where it is less than the link's: it is the routes' then, since the link is another plugin's. */
function mtuFor(options: Options, link: number): number | undefined {
  const mtu = numberOption(options, OPTION.interfaceMtu, 2);
  // Less than 68 no link may have: RFC 2132, section 5.1.
  return mtu === undefined || mtu < 68 || mtu >= link ? undefined : mtu;
}

function dnsFrom(options: Options): CniDns {
  const nameservers = addressesOption(options, OPTION.domainServer).map(formatAddress);
  const domain = textOption(options, OPTION.domainName);
  const search = searchList(options);
  return {
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(domain === undefined ? {} : { domain }),
    ...(search.length === 0 ? {} : { search }),
  };
}
