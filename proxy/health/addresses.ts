/**
 * Where health-check node ports are listened on: where node ports are.
 *
 * @module
 */
import { parseAddress } from "../../lib/net/address.ts";
import { contains, parseCidr } from "../../lib/net/cidr.ts";
import type { BackendSettings } from "../backend.ts";

/**
 * Addresses of this host, or `0.0.0.0` for all of both families.
 *
 * @param nodePorts `nodePortAddresses` of each family
 * @param primary the node's own addresses
 * @param local all addresses that the host has
 */
export function healthCheckAddresses(
  nodePorts: readonly BackendSettings["nodePortAddresses"][],
  primary: readonly string[],
  local: ReadonlySet<string>,
): readonly string[] {
  const wanted = nodePorts.flatMap((addresses) => {
    if (addresses === "all") return [ALL];
    if (addresses === "primary") return primary.length > 0 ? primary : [ALL];
    const cidrs = addresses.map(parseCidr);
    return [...local].filter((address) => cidrs.some((cidr) => contains(cidr, parseAddress(address))));
  });
  return wanted.includes(ALL) ? [ALL] : [...new Set(wanted)].sort();
}

const ALL = "0.0.0.0";
