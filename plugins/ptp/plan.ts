/**
 * What a point-to-point attachment shall be, from what IPAM gave: pure.
 *
 * A veth knows neighbours only, while IPAM speaks of a subnet with a gateway in it. So the host's end has the
 * gateway's address alone, and the container reaches everything through it, its own subnet included.
 *
 * @module
 */
import type { CniDns, CniIp, CniResult } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type Address, bitsOf, formatAddress, sameAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, firstOf, formatCidr, networkOf, sameCidr } from "../../lib/net/cidr.ts";
import { RT_SCOPE_LINK } from "../../lib/netlink/constants.ts";
import type { ContainerRoute } from "../../lib/plugin/container.ts";
import { routesToSet, withoutRepetition } from "../../lib/plugin/routes.ts";

/** An address of the container; ptp's always have a gateway. */
export interface PtpIp extends CniIp {
  readonly gateway: Address;
}

export interface Plan {
  /** The container's addresses. */
  readonly ips: readonly PtpIp[];
  /** For the result: what IPAM gave. */
  readonly routes: CniResult["routes"];
  readonly dns: CniDns;
  /** Into the container's table, in this order: the later need the earlier ones' gateways. */
  readonly containerRoutes: readonly ContainerRoute[];
  /** Addresses of the host's end, each alone: /32 and /128. */
  readonly gateways: readonly Cidr[];
  /** Routes of the host to its end, each to one address of the container. */
  readonly hostRoutes: readonly Cidr[];
}

/** @throws TsnetError `plugin` if IPAM gave no address, or one without a gateway that could be told. */
export function planAddresses(ipamType: string, ipam: CniResult, confDns: CniDns | undefined): Plan {
  if (ipam.ips.length === 0) throw refused(`IPAM plugin ${ipamType} returned missing IP config: it gave no address`);
  const ips = ipam.ips.map((ip) => ({ ...ip, gateway: gatewayOf(ip, ipamType), interface: 1 }));
  return {
    ips,
    routes: ipam.routes,
    // In the config even an empty field replaces what IPAM says.
    dns: confDns !== undefined && Object.keys(confDns).length > 0 ? confDns : ipam.dns,
    containerRoutes: containerRoutesOf(ips, ipam.routes),
    gateways: unique(ips.map(({ gateway }) => alone(gateway))),
    hostRoutes: unique(ips.map(({ address }) => alone(address.address))),
  };
}

/** The routes of a result whose own subnets lead through the gateway in any case. */
function containerRoutesOf(ips: readonly PtpIp[], routes: CniResult["routes"]): readonly ContainerRoute[] {
  const subnets = ips.map(({ address }) => networkOf(address));
  const toGateways = ips.map(({ address, gateway }) => ({
    dst: alone(gateway),
    scope: RT_SCOPE_LINK,
    src: address.address,
  }));
  const toSubnets = ips.flatMap(({ address, gateway }): readonly ContainerRoute[] => {
    const dst = networkOf(address);
    return dst.prefix === bitsOf(dst.address.family) ? [] : [{ dst, gw: gateway, src: address.address }];
  });
  const given = routesToSet(ips, routes).filter(
    ({ dst, gw, table }) =>
      gw !== undefined || table !== undefined || !subnets.some((subnet) => sameCidr(subnet, networkOf(dst))),
  );
  return [...withoutRepetition(toGateways), ...withoutRepetition(toSubnets), ...given];
}

/** Where IPAM names none it is the subnet's first address, as with a bridge. */
function gatewayOf({ address, gateway }: CniIp, ipamType: string): Address {
  const first = firstOf(address);
  const chosen = gateway ?? { family: first.family, value: first.value + 1n };
  const wrong = chosen.family !== first.family || (gateway === undefined && !contains(address, chosen));
  if (wrong || sameAddress(chosen, address.address)) {
    const what = gateway === undefined ? "no gateway" : `the gateway ${formatAddress(gateway)}`;
    throw refused(
      `IPAM plugin ${ipamType} gave ${formatCidr(address)} ${what}: ptp needs one beside it, for the host's end`,
    );
  }
  return chosen;
}

/** The address as a network of its own. */
function alone(address: Address): Cidr {
  return { address, prefix: bitsOf(address.family) };
}

function unique(cidrs: readonly Cidr[]): readonly Cidr[] {
  return cidrs.filter((cidr, index) => cidrs.findIndex((other) => sameCidr(other, cidr)) === index);
}

function refused(message: string): TsnetError {
  return new TsnetError(message, { code: "plugin", op: "IPAM ADD" });
}
