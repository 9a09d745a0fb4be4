/**
 * The bridge that an earlier subnet of this host has left behind: the agent takes another subnet only when no container
 * has an address of the one before, and the bridge stays as it was.
 *
 * @module
 */
import { contains, networkOf } from "../../lib/net/cidr.ts";
import { addrList } from "../../lib/netlink/addr.ts";
import { linkGet, linkList } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import type { SubnetEnv } from "../../lib/overlay/subnetenv.ts";

/**
 * Whether nobody is on `bridge` and its addresses are of the network, but not all of this host's subnet. Of IPv4: IPv6
 * has room for both.
 */
export function isLeftOver(bridge: string, { networks, subnets }: SubnetEnv): boolean {
  const [network, subnet] = [networks[4], subnets[4]];
  if (network === undefined || subnet === undefined) return false;
  using host = RtSocket.open();
  const link = linkGet(host, bridge);
  if (link?.kind !== "bridge") return false;
  const addresses = addrList(host, { index: link.index, family: 4 }).map(({ cidr }) => cidr.address);
  if (addresses.every((address) => contains(networkOf(subnet), address))) return false;
  if (!addresses.every((address) => contains(network, address))) return false;
  return !linkList(host).some(({ master }) => master === link.index);
}
