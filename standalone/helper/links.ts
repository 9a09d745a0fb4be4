/**
 * Whether bridges, interfaces and addresses are as they were made, by the kernel's own lists; and what can be put
 * right in place. A container whose interface is gone has to be connected anew.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { parseAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, formatCidr, parseCidr } from "../../lib/net/cidr.ts";
import { type Addr, addrList, addrReplace } from "../../lib/netlink/addr.ts";
import { type Link, linkList, linkSet } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import type { AttachmentRecord, ContainerRecord, NetworkRecord } from "../state/records.ts";
import type { HelperView } from "./view.ts";

/** What was found. */
export interface LinkDamage {
  /** Bridges that are there, and are down or lack an address of the host's. */
  readonly bridges: readonly NetworkRecord[];
  /** Containers of which an interface is not there, down, without an address or on no bridge. */
  readonly containers: readonly ContainerRecord[];
}

/** Looks at all of them. Changes nothing. */
export function linkDamage({ containers, networks }: HelperView): LinkDamage {
  using socket = RtSocket.open();
  const links = linkList(socket);
  const addresses = addrList(socket);
  const bridgeOf = new Map(networks.map(({ id, bridge }) => [id, links.find(({ name }) => name === bridge)]));
  return {
    bridges: networks.filter((network) => {
      const bridge = bridgeOf.get(network.id);
      return bridge !== undefined && !(bridge.up && gatewaysOf(network).every((one) => isOn(bridge, addresses, one)));
    }),
    containers: containers.filter(
      (record) => record.attachments.length > 0 && !isWhole(record, { bridgeOf, hostLinks: links }),
    ),
  };
}

/** Brings a bridge up again, with the host's addresses. */
export function mendBridge(network: NetworkRecord): void {
  using socket = RtSocket.open();
  const bridge = linkList(socket).find(({ name }) => name === network.bridge);
  if (bridge === undefined) return;
  linkSet(socket, bridge.index, { up: true });
  for (const cidr of gatewaysOf(network)) addrReplace(socket, { index: bridge.index, cidr, noDad: true });
}

interface HostEnds {
  readonly bridgeOf: ReadonlyMap<string, Link | undefined>;
  readonly hostLinks: readonly Link[];
}

/** A container whose namespace has gone is nothing that could be mended here. */
function isWhole(record: ContainerRecord, host: HostEnds): boolean {
  try {
    const netns = openNetns(record.netns);
    try {
      using socket = RtSocket.open(netns);
      const links = linkList(socket);
      const addresses = addrList(socket);
      return record.attachments.every((one) => isAttached(one, { ...host, links, addresses }));
    } finally {
      netns.close();
    }
  } catch (error) {
    if (isTsnetError(error, "not-found", "invalid-netns")) return true;
    throw error;
  }
}

function isAttached(
  { network, ifname, addresses: wanted = [] }: AttachmentRecord,
  {
    bridgeOf,
    hostLinks,
    links,
    addresses,
  }: HostEnds & { readonly links: readonly Link[]; readonly addresses: readonly Addr[] },
): boolean {
  const link = links.find(({ name }) => name === ifname);
  if (link === undefined || !link.up) return false;
  if (!wanted.every((address) => isOn(link, addresses, parseCidr(address)))) return false;
  const end = hostLinks.find(({ index, kind }) => index === link.peerIndex && kind === "veth");
  return end?.up === true && end.master !== undefined && end.master === bridgeOf.get(network)?.index;
}

/** The host's addresses on a network. */
function gatewaysOf({ subnets, gateways }: NetworkRecord): readonly Cidr[] {
  return gateways.map(parseAddress).flatMap((address) => {
    const subnet = subnets.map(parseCidr).find((one) => contains(one, address));
    return subnet === undefined ? [] : [{ address, prefix: subnet.prefix }];
  });
}

function isOn({ index }: Link, addresses: readonly Addr[], wanted: Cidr): boolean {
  const text = formatCidr(wanted);
  return addresses.some((one) => one.index === index && formatCidr(one.cidr) === text);
}
