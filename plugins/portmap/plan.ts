/**
 * What the config and the result of the plugins before mean for the packet filter. Pure.
 *
 * @module
 */
import type { CniResult } from "../../lib/cni/types.ts";
import type { PublishWish } from "../../lib/firewall/types.ts";
import type { Cidr } from "../../lib/net/cidr.ts";
import type { PortmapConfig } from "./config.ts";

/** The wish; undefined where the container has no address to lead ports to. */
export function planPublish(config: PortmapConfig, result: CniResult, ifname: string): PublishWish | undefined {
  const addresses = addressesOf(result, ifname);
  if (addresses.length === 0) return undefined;
  const { mappings, snat, masqAll, markMasqBit, externalSetMarkChain, conditionsV4, conditionsV6 } = config;
  return {
    mappings,
    addresses,
    snat,
    masqAll,
    markMasqBit,
    ...(externalSetMarkChain === undefined ? {} : { externalSetMarkChain }),
    conditionsV4,
    conditionsV6,
  };
}

/** The first address of each family that the result does not say to be on another interface than the container's. */
function addressesOf({ ips, interfaces }: CniResult, ifname: string): readonly Cidr[] {
  const own = ips.filter((ip) => {
    const link = ip.interface === undefined ? undefined : interfaces[ip.interface];
    return link === undefined || (link.name === ifname && (link.sandbox ?? "") !== "");
  });
  return ([4, 6] as const).flatMap((family) => {
    const first = own.find((ip) => ip.address.address.family === family);
    return first === undefined ? [] : [first.address];
  });
}
