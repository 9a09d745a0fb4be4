/**
 * What a bridge attachment shall be, computed before the kernel is touched: addresses, routes and gateways from
 * what IPAM gave.
 *
 * @module
 */
import type { CniIp, CniResult, CniRoute } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type Family, sameAddress } from "../../lib/net/address.ts";
import { type Cidr, firstOf, networkOf } from "../../lib/net/cidr.ts";
import { gatewayFor, withoutRepetition } from "../../lib/plugin/routes.ts";
import type { BridgeConfig } from "./config.ts";

// linux/rtnetlink.h
const RT_TABLE_MAIN = 254;

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

/** The first address of the network, as every container network since docker0 has it. */
function withGateway(ip: CniIp, isGateway: boolean): CniIp {
  if (!isGateway || ip.gateway !== undefined) return ip;
  const first = firstOf(networkOf(ip.address));
  return { ...ip, gateway: { family: first.family, value: first.value + 1n } };
}

/**
 * An IPAM's default route without a gateway gets ours and keeps what else it says, unless it stands beside one that
 * names another; where there is no default route at all, ours is added.
 */
function withDefaultRoutes(routes: readonly CniRoute[], ips: readonly CniIp[]): readonly CniRoute[] {
  const filled = routes.flatMap((route): readonly CniRoute[] => {
    const { family } = route.dst.address;
    if (route.gw !== undefined || !isMainDefault(route, family)) return [route];
    const isNamed = (other: CniRoute) =>
      other.gw !== undefined && isMainDefault(other, family) && other.priority === route.priority;
    if (routes.some(isNamed)) return [];
    const gw = gatewayFor(ips, family);
    return [gw === undefined ? route : { ...route, gw }];
  });
  const added = ([4, 6] as const).flatMap((family): readonly CniRoute[] => {
    const gw = gatewayFor(ips, family);
    if (gw === undefined || filled.some((route) => isMainDefault(route, family))) return [];
    return [{ dst: { address: { family, value: 0n }, prefix: 0 }, gw }];
  });
  return withoutRepetition([...filled, ...added]);
}

function gatewaysOf(ips: readonly CniIp[]): readonly Cidr[] {
  const all = ips.flatMap(({ gateway, address }) =>
    gateway === undefined ? [] : [{ address: gateway, prefix: address.prefix }],
  );
  return all.filter((cidr, index) => all.findIndex((other) => sameAddress(other.address, cidr.address)) === index);
}

/** Whether it is a default route where the kernel looks first; another table's serves other rules. */
function isMainDefault({ dst, table }: CniRoute, family: Family): boolean {
  const isMain = table === undefined || table === 0 || table === RT_TABLE_MAIN;
  return isMain && dst.prefix === 0 && dst.address.family === family;
}
