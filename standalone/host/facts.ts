/**
 * What the host has, as far as a plan must know it: routes, resolvers, ranges of other networks, listening ports.
 * Read once, before anything is changed.
 *
 * @module
 */
import { heldSockets } from "../../lib/firewall/listeners.ts";
import { parseAddress } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, networkOf, parseCidr } from "../../lib/net/cidr.ts";
import { type Link, linkList } from "../../lib/netlink/link.ts";
import { describeRoute, type Route, routeList } from "../../lib/netlink/route.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { namesIn, readIfThere } from "../../lib/sys/files.ts";
import { nameOfProcess, socketOwner } from "../../lib/sys/process.ts";
import type { Taken } from "../plan/subnet.ts";
import { type Listener, parseListeners, TABLES } from "./listeners.ts";

export interface HostFacts {
  /** Addresses that somebody has, except those of `ours` (see {@link readFacts}). */
  readonly taken: readonly Taken[];
  /** Names of the host's links, each with its kind. */
  readonly links: ReadonlyMap<string, string | undefined>;
  /** Names of the links that packets can be routed by, without `ours` and lo. */
  readonly routedLinks: readonly string[];
  /** Without the helper's, which hold what we published. */
  readonly listeners: readonly Listener[];
  /** The program that a listener belongs to, as `nginx (pid 12)`. Looks for it among all processes. */
  ownerOf(listener: Listener): string | undefined;
  /** The smallest MTU of the devices of the default routes, in bytes; undefined if there are none. */
  readonly mtu: number | undefined;
}

/** Where runtimes keep their networks. */
const NETWORKS_DIR = "/etc/cni/net.d";
/** Every file that may name a resolver of this host. */
const RESOLVER_FILES = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

// rtnetlink(7): a route to one address of this host, and those of broadcasts.
const RTN_UNICAST = 1;
const IPV4_LINK_LOCAL = parseCidr("169.254.0.0/16");

/** Reads the facts. `ours` are the bridges of the project: what they have is no conflict. */
export function readFacts(ours: ReadonlySet<string>): HostFacts {
  using socket = RtSocket.open();
  const links = linkList(socket);
  const routes = routeList(socket).filter((route) => route.type === RTN_UNICAST);
  const nameOf = (index: number | undefined) => links.find((link) => link.index === index)?.name;
  return {
    taken: [
      ...routes
        .filter((route) => !ours.has(nameOf(route.dev) ?? ""))
        .flatMap((route) => takenBy(route, nameOf(route.dev))),
      ...RESOLVER_FILES.flatMap((path) => resolversIn(readIfThere(path) ?? "")),
      ...namesIn(NETWORKS_DIR).flatMap((name) =>
        rangesIn(readIfThere(`${NETWORKS_DIR}/${name}`) ?? "", `${NETWORKS_DIR}/${name}`),
      ),
    ],
    links: new Map(links.map((link) => [link.name, link.kind])),
    routedLinks: routedLinks(routes, nameOf).filter((name) => !ours.has(name)),
    listeners: readListeners(),
    ownerOf: ({ inode }) => {
      const pid = socketOwner(inode);
      return pid === undefined ? undefined : `${nameOfProcess(pid)} (pid ${pid})`;
    },
    mtu: leastMtu(routes, links),
  };
}

/** Who waits at the host's ports, the helper's own sockets excepted. */
function readListeners(): readonly Listener[] {
  const held = heldSockets();
  return Object.entries(TABLES)
    .flatMap(([name, protocol]) => parseListeners(readIfThere(`/proc/net/${name}`) ?? "", protocol))
    .filter(({ inode }) => !held.has(inode));
}

/** The resolvers of a resolv.conf(5). */
export function resolversIn(text: string): readonly Taken[] {
  return [...text.matchAll(/^\s*nameserver\s+([0-9a-fA-F.:]+)/gm)].flatMap(([, address = ""]) => {
    const cidr = hostRoute(address);
    return cidr === undefined ? [] : [{ cidr, what: `resolver ${address}`, yields: false }];
  });
}

/** The subnets that a network's config file names, wherever in it; none if it cannot be read. */
export function rangesIn(text: string, path: string): readonly Taken[] {
  return subnetsIn(parseJson(text)).map((cidr) => ({ cidr, what: `${formatCidr(cidr)} of ${path}`, yields: false }));
}

function takenBy(route: Route, device: string | undefined): readonly Taken[] {
  // Multicast, and link-local addresses, are the same on every link.
  if (route.family === 6 && route.dst.address.value >> 118n === 0x3fan) return [];
  if (route.family === 6 && route.dst.address.value >> 120n === 0xffn) return [];
  if (route.family === 4 && route.dst.address.value >> 16n === IPV4_LINK_LOCAL.address.value >> 16n) return [];
  const what = `route ${describeRoute(route)}${device === undefined ? "" : ` dev ${device}`}`;
  return [{ cidr: networkOf(route.dst), what, yields: route.gateway !== undefined }];
}

function routedLinks(
  routes: readonly Route[],
  nameOf: (index: number | undefined) => string | undefined,
): readonly string[] {
  const names = routes.flatMap((route) => nameOf(route.dev) ?? []);
  return [...new Set(names)].filter((name) => name !== "lo").toSorted();
}

function leastMtu(routes: readonly Route[], links: readonly Link[]): number | undefined {
  const devices = new Set(routes.filter((route) => route.dst.prefix === 0).map((route) => route.dev));
  const sizes = links.filter((link) => devices.has(link.index) && link.name !== "lo").map((link) => link.mtu);
  return sizes.length === 0 ? undefined : Math.min(...sizes);
}

function subnetsIn(value: unknown): readonly Cidr[] {
  if (Array.isArray(value)) return value.flatMap(subnetsIn);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    if (typeof inner !== "string") return subnetsIn(inner);
    if (!["subnet", "address"].includes(key.toLowerCase()) || !inner.includes("/")) return [];
    try {
      return [networkOf(parseCidr(inner))];
    } catch {
      return [];
    }
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function hostRoute(text: string): Cidr | undefined {
  try {
    const address = parseAddress(text);
    return { address, prefix: address.family === 4 ? 32 : 128 };
  } catch {
    return undefined;
  }
}
