/**
 * The container's interface as the daemon sees it: found by name once, and from then on the very same or none. A
 * namespace of the same name, or another interface in it, has nothing to do with the lease.
 *
 * Nothing is kept open between two looks: the daemon must not keep a namespace alive.
 *
 * @module
 */
import { CLIENT_PORT } from "../../../lib/dhcp/datagram.ts";
import type { OpenWire } from "../../../lib/dhcp/question.ts";
import { TsnetError } from "../../../lib/errors.ts";
import { parseMac } from "../../../lib/net/mac.ts";
import { type Link, linkGet, linkSet } from "../../../lib/netlink/link.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { openPacketSocket } from "../../../lib/sys/packetsocket.ts";

/** Which interface it is. */
export interface LinkIdentity {
  /** The namespace's path, as the caller has it, and its inode. */
  readonly netns: string;
  readonly inode: number;
  readonly name: string;
  readonly index: number;
  readonly mac: string;
}

/** The namespaces' paths are below this; empty unless the host's root is mounted somewhere. */
export type HostPrefix = string;

/** The interface `name` that is there now. @throws TsnetError `not-found`, `invalid-netns`. */
export function findLink(prefix: HostPrefix, netns: string, name: string): LinkIdentity & { readonly mtu: number } {
  return within(prefix, netns, (socket, { inode }) => {
    const link = linkGet(socket, name);
    if (link === undefined) throw gone(`no interface ${name} in ${netns}`);
    const { index, mac, mtu } = link;
    if (parseableMac(mac)) return { netns, inode, name, index, mac, mtu };
    throw new TsnetError(`${name} in ${netns} has no Ethernet address, which DHCP here takes`, {
      code: "invalid-netns",
      op: "DHCP",
    });
  });
}

/** The link's MTU in bytes. @throws TsnetError `not-found` if it is not there any more. */
export function mtuOf(prefix: HostPrefix, identity: LinkIdentity): number {
  return withLink(prefix, identity, (_, link) => link.mtu);
}

/** Takes the interface up or down. @throws TsnetError `not-found` if it is not there any more. */
export function setLink(prefix: HostPrefix, identity: LinkIdentity, up: boolean): void {
  withLink(prefix, identity, (socket, link) => {
    if (link.up !== up) linkSet(socket, link.index, { up });
  });
}

/** Opens the way out of the interface; that throws TsnetError `not-found` if it is not there any more. */
export function wireOf(prefix: HostPrefix, identity: LinkIdentity): OpenWire {
  return (received) =>
    withLink(prefix, identity, (_, { index }, netns) =>
      openPacketSocket({ netns, link: index, port: CLIENT_PORT, received }),
    );
}

function withLink<T>(
  prefix: HostPrefix,
  identity: LinkIdentity,
  work: (socket: RtSocket, link: Link, netns: Netns) => T,
): T {
  const { netns: path, inode, name, index, mac } = identity;
  return within(prefix, path, (socket, netns) => {
    const link = netns.inode === inode ? linkGet(socket, index) : undefined;
    if (link === undefined || link.mac !== mac) throw gone(`interface ${name} in ${path} is gone`);
    return work(socket, link, netns);
  });
}

function within<T>(prefix: HostPrefix, path: string, work: (socket: RtSocket, netns: Netns) => T): T {
  const netns = openNetns(`${prefix}${path}`);
  try {
    using socket = RtSocket.open(netns);
    return work(socket, netns);
  } finally {
    netns.close();
  }
}

function parseableMac(mac: string): boolean {
  try {
    return parseMac(mac).length === 6;
  } catch {
    return false;
  }
}

function gone(message: string): TsnetError {
  return new TsnetError(message, { code: "not-found", op: "DHCP", errno: "ENODEV" });
}
