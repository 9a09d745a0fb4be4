/**
 * Whether bridges, interfaces and addresses are as they were made, by the kernel's own lists; and what can be put
 * right in place. A container whose interface is gone has to be connected anew.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { addressFromBytes, parseAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, formatCidr, parseCidr } from "../../lib/net/cidr.ts";
import { parseMac } from "../../lib/net/mac.ts";
import { type Addr, addrList, addrReplace } from "../../lib/netlink/addr.ts";
import { type Link, linkList, linkSet } from "../../lib/netlink/link.ts";
import { neighDel, neighList } from "../../lib/netlink/neigh.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import type { AttachmentRecord, ContainerRecord, NetworkRecord } from "../state/records.ts";
import type { HelperView } from "./view.ts";

/** Networks, and containers that may be on them. */
export type Members = Pick<HelperView, "containers" | "networks">;

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
  const gateways = gatewaysOf(network);
  // Without it the host could ask for no container's MAC; the kernel takes up to a second to notice the carrier first.
  const own = gateways.some(({ address }) => address.family === 6) ? [linkLocalOf(bridge)] : [];
  for (const cidr of [...gateways, ...own]) addrReplace(socket, { index: bridge.index, cidr, noDad: true });
}

/** The address that the kernel makes of a link's MAC: RFC 4291 appendix A. */
function linkLocalOf({ mac }: Link): Cidr {
  const [first = 0, ...rest] = parseMac(mac);
  const bytes = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, first ^ 2, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
  return { address: addressFromBytes(Uint8Array.from(bytes)), prefix: 64 };
}

/**
 * Has neighbours that did not answer while they were away be asked for with the next packet, on the host and in the
 * containers: the kernel would wait a second.
 */
export function askNeighboursAnew({ containers, networks }: Members): void {
  using socket = RtSocket.open();
  const bridges = new Set(networks.map(({ bridge }) => bridge));
  for (const { name, index } of linkList(socket)) if (bridges.has(name)) forgetUnanswered(socket, index);
  const ids = new Set(networks.map(({ id }) => id));
  const here = containers.filter(({ attachments }) => attachments.some(({ network }) => ids.has(network)));
  for (const { netns: path } of here) {
    try {
      const netns = openNetns(path);
      try {
        using inside = RtSocket.open(netns);
        forgetUnanswered(inside);
      } finally {
        netns.close();
      }
    } catch (error) {
      // It has gone meanwhile.
      if (!isTsnetError(error, "not-found", "invalid-netns")) throw error;
    }
  }
}

function forgetUnanswered(socket: RtSocket, index?: number): void {
  const all = neighList(socket, index === undefined ? {} : { index });
  for (const { mac, index: link, address } of all) if (mac === undefined) neighDel(socket, link, address);
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
