/**
 * The CNI list of one interface: what the runtime calls to put a container on a network.
 *
 * @module
 */
import { formatAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, firstOf, lastOf, parseCidr } from "../../lib/net/cidr.ts";
import type { NetworkRecord } from "../state/records.ts";

/** Where our addresses are reserved: like all that runs, reservations end with the boot. */
export const IPAM_DIR = "/run/tsnet/ipam";

/**
 * The list's text.
 *
 * It speaks 1.0.0, since containerd 1.6 refuses a newer one, and is closed to GC: a runtime that shares the network
 * would not know of our containers and take theirs. `defaultRoute` is for a container's first network alone. An
 * address that was asked for need not be of the network's range: `anyAddress`.
 */
export function listText(network: NetworkRecord, defaultRoute: boolean, anyAddress = false): string {
  const { backend, ...options } = network.options;
  const { routes = [] } = network;
  const list = {
    cniVersion: "1.0.0",
    cniVersions: ["1.0.0", "1.1.0"],
    name: network.id,
    disableGC: true,
    plugins: [
      {
        type: "bridge",
        bridge: network.bridge,
        isGateway: true,
        // A default route would lead nowhere, and keep a container that is on other networks, too, from theirs.
        isDefaultGateway: defaultRoute && network.internal !== true,
        ipMasq: network.masquerade,
        ...(backend === undefined ? {} : { ipMasqBackend: backend }),
        hairpinMode: options.promiscMode !== true,
        ...(network.mtu === undefined ? {} : { mtu: network.mtu }),
        ...options,
        capabilities: { ips: true, mac: true },
        ipam: {
          type: "host-local",
          dataDir: IPAM_DIR,
          ranges: network.subnets.map((subnet, at) => [
            { subnet, gateway: network.gateways[at], ...(anyAddress ? {} : boundsOf(network, subnet)) },
          ]),
          ...(routes.length === 0
            ? {}
            : { routes: routes.map(({ dst, via }) => (via === undefined ? { dst } : { dst, gw: via })) }),
        },
      },
      { type: "portmap", ...(backend === undefined ? {} : { backend }), capabilities: { portMappings: true } },
    ],
  };
  return JSON.stringify(list, null, 2);
}

/** The part of a subnet that addresses are taken from; all that can be had where the network's range is not in it. */
function boundsOf(
  { range }: NetworkRecord,
  subnet: string,
): { readonly rangeStart?: string; readonly rangeEnd?: string } {
  if (range === undefined) return {};
  const [part, whole] = [parseCidr(range), parseCidr(subnet)];
  if (!contains(whole, part.address)) return {};
  return { rangeStart: formatAddress(firstUsable(part, whole)), rangeEnd: formatAddress(lastUsable(part, whole)) };
}

/** The subnet's own address is nobody's. */
function firstUsable(part: Cidr, whole: Cidr) {
  const { family, value } = firstOf(part);
  return value === firstOf(whole).value ? { family, value: value + 1n } : { family, value };
}

/** IPv4 has a broadcast address. */
function lastUsable(part: Cidr, whole: Cidr) {
  const { family, value } = lastOf(part);
  return family === 4 && value === lastOf(whole).value ? { family, value: value - 1n } : { family, value };
}
