/**
 * Whether containers of this host have addresses of a subnet: then no other will do, for their addresses cannot be
 * changed under them.
 *
 * @module
 */
import { DEFAULT_DATA_DIR, diskStore } from "../../lib/ipam/disk.ts";
import { type Cidr, contains } from "../../lib/net/cidr.ts";
import { addrList } from "../../lib/netlink/addr.ts";
import { linkList } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { namesIn } from "../../lib/sys/files.ts";
import type { Parts } from "../types.ts";

export interface ContainersWhere {
  /** The bridge of the network list. */
  readonly bridge: string;
  /** host-local's, unless given. */
  readonly dataDir?: string;
}

/**
 * Whether a container has an address of one of `subnets`: by what host-local gave out since the boot, on any network
 * (flannel's plugin may have given it, on a network of another name), or by a port of the bridge that has an address
 * of them. An address that was never given back, by a runtime that forgot its container, counts until GC.
 */
export function hasContainers(subnets: Parts<Cidr>, { bridge, dataDir = DEFAULT_DATA_DIR }: ContainersWhere): boolean {
  const all = Object.values(subnets);
  return all.length > 0 && (hasReservations(all, dataDir) || hasPorts(all, bridge));
}

function hasReservations(subnets: readonly Cidr[], dataDir: string): boolean {
  return namesIn(dataDir).some((network) => {
    const view = diskStore(network, dataDir).view();
    return view.reservations().some((reservation) => {
      if (!subnets.some((subnet) => contains(subnet, reservation.address))) return false;
      const { kind } = view.holderOf(reservation);
      return (kind === "attachment" || kind === "container") && !view.isFromBeforeBoot(reservation);
    });
  });
}

function hasPorts(subnets: readonly Cidr[], bridge: string): boolean {
  using host = RtSocket.open();
  const links = linkList(host);
  const index = links.find((link) => link.name === bridge && link.kind === "bridge")?.index;
  if (index === undefined || !links.some((link) => link.master === index)) return false;
  const addresses = addrList(host, { index }).map(({ cidr }) => cidr.address);
  return addresses.some((address) => subnets.some((subnet) => contains(subnet, address)));
}
