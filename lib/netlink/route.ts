/**
 * Routes: `ip route`.
 *
 * @module
 */
import { formatRoute, formatRouteAttrs, type RouteAttrs } from "netlink/dist/rt/gen_structs";
import { getU32, putU32, type StreamData } from "netlink/dist/structs";
import { type Address, addressBytes, addressFromBytes, bitsOf, type Family, formatAddress } from "../net/address.ts";
import { type Cidr, formatCidr, networkOf } from "../net/cidr.ts";
import { attributeMap } from "./bytes.ts";
import {
  AF_INET,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTA_VIA,
  RTAX_ADVMSS,
  RTAX_MTU,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTNH_F_ONLINK,
  RTPROT_BOOT,
} from "./constants.ts";
import { familyNumber, isAboutIp } from "./family.ts";
import type { RtSocket } from "./socket.ts";

/** A route to set. */
export interface RouteSpec {
  readonly dst: Cidr;
  readonly gateway?: Address;
  /** Index of the link. */
  readonly dev?: number;
  /** Takes the gateway for reachable on the link, whatever its addresses say. */
  readonly onlink?: boolean;
  /** `RT_SCOPE_*`; without it 0 with a gateway, 253 (link) without. IPv6 has none. */
  readonly scope?: number;
  /** 254 (main) unless given. */
  readonly table?: number;
  /** The metric; lower is preferred. */
  readonly priority?: number;
  /** Bytes. */
  readonly mtu?: number;
  /** Bytes. */
  readonly advmss?: number;
  readonly src?: Address;
  /** `RTPROT_*`, 3 (boot) unless given: who set it. */
  readonly protocol?: number;
  /** `RTN_*`, 1 (unicast) unless given; 6 is a blackhole, which has neither gateway nor dev. */
  readonly type?: number;
}

/** A route as the kernel shows it. A route over several next hops has neither gateway nor dev. */
export interface Route extends RouteSpec {
  readonly family: Family;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  /** `RTN_*`: 1 unicast, 2 local, 3 broadcast, 6 blackhole, 7 unreachable. */
  readonly type: number;
}

/** Where packets to an address go. */
export interface NextHop {
  /** Index of the link. */
  readonly dev: number;
  /** Undefined: straight to the address. */
  readonly gateway?: Address;
  /** What they have as their source unless told otherwise. */
  readonly src?: Address;
  /** `RTN_*`: 1 unicast, 2 local: an address of this host. */
  readonly type: number;
}

/**
 * `ip route add`; false if there is one to the same destination with the same metric.
 *
 * @throws TsnetError `io` with ENETUNREACH if the gateway is not on a link.
 */
export function routeAdd(socket: RtSocket, route: RouteSpec): boolean {
  const what = `add route ${describeRoute(route)}`;
  return socket.change({ type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_EXCL, body: bodyOf(route), what }, "EEXIST");
}

/**
 * `ip route prepend`: before others to the same destination; false if there is the very same. In IPv6 those by gateways
 * become one route with several.
 */
export function routePrepend(socket: RtSocket, route: RouteSpec): boolean {
  const what = `add route ${describeRoute(route)}`;
  return socket.change({ type: RTM_NEWROUTE, flags: NLM_F_CREATE, body: bodyOf(route), what }, "EEXIST");
}

/** `ip route replace`: the first to the same destination with the same metric, by whatever link it leads. */
export function routeReplace(socket: RtSocket, route: RouteSpec): void {
  const what = `replace route ${describeRoute(route)}`;
  socket.change({ type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, body: bodyOf(route), what });
}

/** `ip route del`; false if it was not there. */
export function routeDel(socket: RtSocket, route: RouteSpec): boolean {
  const what = `delete route ${describeRoute(route)}`;
  return socket.change({ type: RTM_DELROUTE, body: bodyOf(route, true), what }, "ESRCH", "ENOENT", "ENODEV");
}

/** `ip [-4|-6] route show table all`: every unicast, local and other route of the namespace. */
export function routeList(socket: RtSocket, filter: { readonly family?: Family } = {}): readonly Route[] {
  const family = familyNumber(filter.family);
  const answers = socket.dump({ type: RTM_GETROUTE, body: formatRoute({ family }), what: "list routes" });
  return answers.filter(isAboutIp).flatMap(parseRoutes);
}

/** `ip route get DST`; undefined if nothing leads there, or a route that says so: unreachable, prohibit, blackhole. */
export function routeGet(socket: RtSocket, dst: Address): NextHop | undefined {
  const body: StreamData = (out) => {
    out.emit(formatRoute({ family: familyNumber(dst.family), dstLen: bitsOf(dst.family) }));
    out.emit(formatRouteAttrs({ dst: bytes(dst) }));
  };
  const what = `get route to ${formatAddress(dst)}`;
  // A blackhole answers EINVAL, prohibit EACCES.
  const refusals = ["ENETUNREACH", "EHOSTUNREACH", "EINVAL", "EACCES"];
  const answer = socket.get({ type: RTM_GETROUTE, body, what }, ...refusals);
  if (answer === undefined) return undefined;
  const { dev, gateway, src, type } = parseRoute(answer);
  return dev === undefined ? undefined : definedOnly({ dev, gateway, src, type });
}

/** `10.0.0.0/8 via 10.1.0.1`, for messages. */
export function describeRoute(route: { readonly dst: Cidr; readonly gateway?: Address }): string {
  return `${formatCidr(route.dst)}${route.gateway === undefined ? "" : ` via ${formatAddress(route.gateway)}`}`;
}

function bodyOf(route: RouteSpec, deleting = false): StreamData {
  const { address, prefix } = networkOf(route.dst);
  const table = route.table ?? RT_TABLE_MAIN;
  const attrs: RouteAttrs = { table };
  if (prefix > 0) attrs.dst = bytes(address);
  if (route.gateway !== undefined) attrs.gateway = bytes(route.gateway);
  if (route.dev !== undefined) attrs.oif = route.dev;
  if (route.priority !== undefined) attrs.priority = route.priority;
  if (route.src !== undefined) attrs.prefsrc = bytes(route.src);
  // A route is found by what leads to it: metrics that were changed since must not hide it from its deletion.
  if (!deleting && (route.mtu !== undefined || route.advmss !== undefined)) {
    attrs.metrics = {
      ...(route.mtu === undefined ? {} : { mtu: putU32(route.mtu) }),
      ...(route.advmss === undefined ? {} : { advmss: putU32(route.advmss) }),
    };
  }
  return (out) => {
    out.emit(
      formatRoute({
        family: familyNumber(address.family),
        dstLen: prefix,
        table: table < 256 ? table : 0,
        protocol: route.protocol ?? (deleting ? 0 : RTPROT_BOOT),
        scope: scopeOf(route, deleting),
        type: route.type ?? (deleting ? 0 : RTN_UNICAST),
        ...(route.onlink === true ? { flags: { __unknown: RTNH_F_ONLINK } } : {}),
      }),
    );
    out.emit(formatRouteAttrs(attrs));
  };
}

/** The scope that a message has. Asking to delete with one finds only routes of that scope: it is left open then. */
export function scopeOf(route: RouteSpec, deleting: boolean): number {
  if (route.dst.address.family === 6) return RT_SCOPE_UNIVERSE;
  if (route.scope !== undefined) return route.scope;
  if (deleting) return RT_SCOPE_NOWHERE;
  const toLink = route.gateway === undefined && (route.type ?? RTN_UNICAST) === RTN_UNICAST;
  return toLink ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

/** Reads a message about a route, an answer or an event. */
export function parseRoute(payload: Buffer): Route {
  const family: Family = payload.readUInt8(0) === AF_INET ? 4 : 6;
  const all = attributeMap(payload.subarray(12));
  const metrics = attributeMap(all.get(RTA_METRICS));
  const number = (data: Buffer | undefined) => (data === undefined ? undefined : getU32(data));
  const address = (data: Buffer | undefined) => (data === undefined ? undefined : addressFromBytes(data));
  return definedOnly({
    family,
    dst: {
      address: addressFromBytes(all.get(RTA_DST) ?? Buffer.alloc(family === 4 ? 4 : 16)),
      prefix: payload.readUInt8(1),
    },
    table: number(all.get(RTA_TABLE)) ?? payload.readUInt8(4),
    protocol: payload.readUInt8(5),
    scope: payload.readUInt8(6),
    type: payload.readUInt8(7),
    // A next hop of the other family, RTA_VIA, has its family before it: struct rtvia.
    gateway: address(all.get(RTA_GATEWAY) ?? all.get(RTA_VIA)?.subarray(2)),
    dev: number(all.get(RTA_OIF)),
    priority: number(all.get(RTA_PRIORITY)),
    src: address(all.get(RTA_PREFSRC)),
    mtu: number(metrics.get(RTAX_MTU)),
    advmss: number(metrics.get(RTAX_ADVMSS)),
    onlink: (payload.readUInt32LE(8) & RTNH_F_ONLINK) !== 0 ? true : undefined,
  });
}

/** One route for each way: IPv6 shows those to one destination with one metric, by several gateways, as one. */
function parseRoutes(payload: Buffer): readonly Route[] {
  const route = parseRoute(payload);
  const hops = attributeMap(payload.subarray(12)).get(RTA_MULTIPATH);
  return hops === undefined ? [route] : nextHopsOf(hops).map((hop) => ({ ...route, ...hop }));
}

/** struct rtnexthop: u16 length, u8 flags, hops; s32 link; then attributes. */
function nextHopsOf(hops: Buffer): readonly Pick<Route, "dev" | "gateway">[] {
  const found: Pick<Route, "dev" | "gateway">[] = [];
  for (let at = 0; at + 8 <= hops.length; ) {
    const length = Math.max(8, hops.readUInt16LE(at));
    const gateway = attributeMap(hops.subarray(at + 8, at + length)).get(RTA_GATEWAY);
    const dev = hops.readInt32LE(at + 4);
    found.push({ dev, ...(gateway === undefined ? {} : { gateway: addressFromBytes(gateway) }) });
    at += (length + 3) & ~3;
  }
  return found;
}

/** Leaves out what is undefined, so that a {@link Route} can be handed back as a {@link RouteSpec}. */
function definedOnly<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function bytes(address: Address): Buffer {
  return Buffer.from(addressBytes(address));
}
