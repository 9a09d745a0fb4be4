/**
 * What anybody changes in a namespace: links, addresses, routes, neighbours and FDB entries, ours among it.
 *
 * The kernel does not tell of everything: IPv4 routes that go with their link or with the address that they have as
 * source go in silence, and so do neighbours of a link that goes down. Who cares for them takes a link or an address
 * that changed for a reason to look.
 *
 * @module
 */
import { hasErrno } from "../errors.ts";
import { bindNetlink, closeFd, NETLINK_ROUTE, openNetlink, setSocketOption, tryReceive } from "../sys/native.ts";
import { inside, type Netns } from "../sys/netns.ts";
import { type Addr, parseAddr } from "./addr.ts";
import {
  AF_BRIDGE,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
} from "./constants.ts";
import { isAboutIp } from "./family.ts";
import { type FdbEntry, parseFdb } from "./fdb.ts";
import { type Link, parseLink } from "./link.ts";
import { type Neigh, parseNeigh } from "./neigh.ts";
import { parseRoute, type Route } from "./route.ts";

/** What to hear of; `neigh` are neighbours and FDB entries. */
export type RtGroup = "link" | "addr4" | "addr6" | "route4" | "route6" | "neigh";

export type RtEvent =
  | { readonly kind: "link"; readonly gone: boolean; readonly link: Link }
  | { readonly kind: "addr"; readonly gone: boolean; readonly addr: Addr }
  | { readonly kind: "route"; readonly gone: boolean; readonly route: Route }
  | { readonly kind: "neigh"; readonly gone: boolean; readonly neigh: Neigh }
  | { readonly kind: "fdb"; readonly gone: boolean; readonly entry: FdbEntry }
  /** More came than there was room for: only a comparison tells what changed. */
  | { readonly kind: "lost" };

export interface RtEvents {
  /** What happened since the last call, in order. Does not wait. */
  poll(): readonly RtEvent[];
  close(): void;
}

// linux/rtnetlink.h numbers the groups; bind takes them as bits.
const GROUPS: Readonly<Record<RtGroup, number>> = {
  link: RTNLGRP_LINK,
  addr4: RTNLGRP_IPV4_IFADDR,
  addr6: RTNLGRP_IPV6_IFADDR,
  route4: RTNLGRP_IPV4_ROUTE,
  route6: RTNLGRP_IPV6_ROUTE,
  neigh: RTNLGRP_NEIGH,
};

// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
// Some ten thousand events: a link with a thousand peers that goes away is three thousand.
const QUEUE_BYTES = 8 * 1024 * 1024;
const DATAGRAM_BYTES = 32 * 1024;

/**
 * Begins to listen, in `netns` or in the namespace that the process is in.
 *
 * @throws TsnetError `permission` without CAP_NET_ADMIN, which the large queue takes.
 */
export function rtEvents({ groups, netns }: { readonly groups: readonly RtGroup[]; readonly netns?: Netns }): RtEvents {
  const open = () => openNetlink(NETLINK_ROUTE);
  const fd = netns === undefined ? open() : inside(netns, open);
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES);
  bindNetlink(
    fd,
    groups.reduce((mask, group) => mask | (1 << (GROUPS[group] - 1)), 0),
  );
  const buffer = Buffer.allocUnsafeSlow(DATAGRAM_BYTES);
  return {
    poll() {
      const events: RtEvent[] = [];
      for (;;) {
        try {
          const length = tryReceive(fd, buffer);
          if (length === undefined) return events;
          readInto(events, buffer.subarray(0, length));
        } catch (error) {
          if (!hasErrno(error, "ENOBUFS")) throw error;
          events.push({ kind: "lost" });
        }
      }
    },
    close: () => closeFd(fd),
  };
}

function readInto(events: RtEvent[], datagram: Buffer): void {
  for (let at = 0; at + 16 <= datagram.length; ) {
    // struct nlmsghdr: u32 length, u16 type.
    const size = Math.max(datagram.readUInt32LE(at), 16);
    // A copy: what is parsed keeps parts of it.
    const event = parse(datagram.readUInt16LE(at + 4), Buffer.from(datagram.subarray(at + 16, at + size)));
    if (event !== undefined) events.push(event);
    at += (size + 3) & ~3;
  }
}

function parse(type: number, payload: Buffer): RtEvent | undefined {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      // Of a bridge's port there are messages of AF_BRIDGE, too: its deletion is that of the port, not of the link.
      if (payload[0] === AF_BRIDGE) return undefined;
      return { kind: "link", gone: type === RTM_DELLINK, link: parseLink(payload) };
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return { kind: "addr", gone: type === RTM_DELADDR, addr: parseAddr(payload) };
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return isAboutIp(payload)
        ? { kind: "route", gone: type === RTM_DELROUTE, route: parseRoute(payload) }
        : undefined;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return payload[0] === AF_BRIDGE ? fdbEvent(type, payload) : neighEvent(type, payload);
    default:
      return undefined;
  }
}

function fdbEvent(type: number, payload: Buffer): RtEvent | undefined {
  const entry = parseFdb(payload);
  return entry === undefined ? undefined : { kind: "fdb", gone: type === RTM_DELNEIGH, entry };
}

function neighEvent(type: number, payload: Buffer): RtEvent | undefined {
  const neigh = isAboutIp(payload) ? parseNeigh(payload) : undefined;
  return neigh === undefined ? undefined : { kind: "neigh", gone: type === RTM_DELNEIGH, neigh };
}
