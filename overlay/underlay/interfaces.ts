/**
 * The interfaces of this host and the addresses by which other hosts may know it, the best first.
 *
 * @module
 */
import { type Address, type Family, sameAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, parseCidr } from "../../lib/net/cidr.ts";
import { type Addr, addrList } from "../../lib/netlink/addr.ts";
import { linkList } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { OVERLAY_DEVICE } from "../kernel/device.ts";
import type { Parts } from "../types.ts";

export interface Interface {
  readonly index: number;
  readonly name: string;
  /** Bytes. */
  readonly mtu: number;
  readonly addresses: readonly Addr[];
}

/** All but the overlay's own, in the kernel's order. */
export function interfacesOf(socket: RtSocket): readonly Interface[] {
  const all = addrList(socket);
  return linkList(socket)
    .filter(({ name, kind }) => kind !== "vxlan" || !OVERLAY_DEVICE.test(name))
    .map(({ index, name, mtu }) => ({ index, name, mtu, addresses: all.filter((addr) => addr.index === index) }));
}

/**
 * Those that others can send to: none of loopback, none that is a duplicate or not yet known to be none. Global ones
 * before link-local ones, lasting before temporary and deprecated ones; of equally good ones first that of `known`.
 */
export function usableAddresses({ addresses }: Interface, family: Family, known: Parts<Address>): readonly Address[] {
  const isKnown = ({ cidr }: Addr) => Number(known[family] !== undefined && sameAddress(cidr.address, known[family]));
  return addresses
    .filter(({ cidr, tentative, dadFailed }) => {
      const { address } = cidr;
      return address.family === family && !tentative && !dadFailed && !LOOPBACK.some((net) => contains(net, address));
    })
    .toSorted((a, b) => rankOf(a) - rankOf(b) || isKnown(b) - isKnown(a))
    .map(({ cidr }) => cidr.address);
}

/** Whether the address means something on one link only, and to others nothing unless they name that: IPv6's own. */
export function isOfOneLink(address: Address): boolean {
  return address.family === 6 && LINK_LOCAL.some((net) => contains(net, address));
}

const LOOPBACK: readonly Cidr[] = ["127.0.0.0/8", "::1/128"].map(parseCidr);
const LINK_LOCAL: readonly Cidr[] = ["169.254.0.0/16", "fe80::/10"].map(parseCidr);

function rankOf({ cidr, deprecated, secondary }: Addr): number {
  const local = LINK_LOCAL.some((net) => contains(net, cidr.address));
  return (local ? 4 : 0) + (deprecated ? 2 : 0) + (secondary ? 1 : 0);
}
