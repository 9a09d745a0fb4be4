/**
 * What a bridge attachment shall be, computed before the kernel is touched: addresses, routes and gateways from
 * what IPAM gave.
 *
 * @module
 */
import type { CniIp, CniResult, CniRoute } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type Address, type Family, sameAddress } from "../../lib/net/address.ts";
import { type Cidr, firstOf, networkOf } from "../../lib/net/cidr.ts";
import type { BridgeConfig } from "./config.ts";

/** What the container and the bridge shall hold. */
export interface Plan {
  /** The container's addresses, each with the gateway that serves it. */
  readonly ips: readonly CniIp[];
  /** Routes for the result: what IPAM gave, with the default route where the bridge is to be the default gateway. */
  readonly routes: readonly CniRoute[];
  /** Addresses of the bridge; empty unless it is a gateway. */
  readonly gateways: readonly Cidr[];
  readonly dns: CniResult["dns"];
}

/**
 * @throws TsnetError `plugin` if IPAM gave no address.
 */
export function planAddresses(config: BridgeConfig, ipam: CniResult, confDns: CniResult["dns"] | undefined): Plan {
  if (ipam.ips.length === 0) {
    throw new TsnetError(`IPAM plugin ${config.ipamType ?? ""} returned missing IP config: it gave no address`, {
      code: "plugin",
      op: "IPAM ADD",
    });
  }
  const ips = ipam.ips.map((ip) => withGateway(ip, config.isGateway));
  return {
    ips: ips.map((ip) => ({ ...ip, interface: 2 })),
    routes: config.isDefaultGateway ? withDefaultRoutes(ipam.routes, ips) : ipam.routes,
    gateways: config.isGateway ? gatewaysOf(ips) : [],
    // In the config even an empty field replaces what IPAM says.
    dns: confDns !== undefined && Object.keys(confDns).length > 0 ? confDns : ipam.dns,
  };
}

/** A route that goes into the container's table: its gateway is the network's where it names none. */
export function routesToSet(plan: Plan): readonly CniRoute[] {
  const wanted = plan.routes.map((route) => {
    const gw = route.gw ?? gatewayFor(plan.ips, route.dst.address.family);
    return gw === undefined ? route : { ...route, gw };
  });
  return wanted.filter((route, index) => wanted.findIndex((other) => sameRoute(other, route)) === index);
}

/** The first address of the network, as every container network since docker0 has it. */
function withGateway(ip: CniIp, isGateway: boolean): CniIp {
  if (!isGateway || ip.gateway !== undefined) return ip;
  const first = firstOf(networkOf(ip.address));
  return { ...ip, gateway: { family: first.family, value: first.value + 1n } };
}

/** An IPAM's default route without a gateway goes by the gateway anyway, so only one that names another stands in the way. */
function withDefaultRoutes(routes: readonly CniRoute[], ips: readonly CniIp[]): readonly CniRoute[] {
  const added: CniRoute[] = [];
  for (const family of [4, 6] as const) {
    const gw = gatewayFor(ips, family);
    if (gw === undefined || routes.some((route) => isDefault(route, family) && route.gw !== undefined)) continue;
    added.push({ dst: { address: { family, value: 0n }, prefix: 0 }, gw });
  }
  const kept = routes.filter(
    (route) => route.gw !== undefined || !added.some(({ dst }) => isDefault(route, dst.address.family)),
  );
  return [...kept, ...added];
}

function gatewaysOf(ips: readonly CniIp[]): readonly Cidr[] {
  const all = ips.flatMap(({ gateway, address }) =>
    gateway === undefined ? [] : [{ address: gateway, prefix: address.prefix }],
  );
  return all.filter((cidr, index) => all.findIndex((other) => sameAddress(other.address, cidr.address)) === index);
}

function gatewayFor(ips: readonly CniIp[], family: Family): Address | undefined {
  return ips.find((ip) => ip.gateway?.family === family)?.gateway;
}

function isDefault(route: CniRoute, family: Family): boolean {
  return route.dst.prefix === 0 && route.dst.address.family === family;
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
