/**
 * The CNI list of one interface: what the runtime calls to put a container on a network.
 *
 * @module
 */
import type { NetworkRecord } from "../state/records.ts";

/** Where our addresses are reserved: like all that runs, reservations end with the boot. */
export const IPAM_DIR = "/run/tsnet/ipam";

/**
 * The list's text.
 *
 * It speaks 1.0.0, since containerd 1.6 refuses a newer one, and is closed to GC: a runtime that shares the network
 * would not know of our containers and take theirs. `defaultRoute` is for a container's first network alone.
 */
export function listText(network: NetworkRecord, defaultRoute: boolean): string {
  const { backend, ...options } = network.options;
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
        isDefaultGateway: defaultRoute,
        ipMasq: network.masquerade,
        ...(backend === undefined ? {} : { ipMasqBackend: backend }),
        hairpinMode: options.promiscMode !== true,
        ...(network.mtu === undefined ? {} : { mtu: network.mtu }),
        ...options,
        capabilities: { ips: true, mac: true },
        ipam: {
          type: "host-local",
          dataDir: IPAM_DIR,
          ranges: network.subnets.map((subnet, at) => [{ subnet, gateway: network.gateways[at] }]),
        },
      },
      { type: "portmap", ...(backend === undefined ? {} : { backend }), capabilities: { portMappings: true } },
    ],
  };
  return JSON.stringify(list, null, 2);
}
