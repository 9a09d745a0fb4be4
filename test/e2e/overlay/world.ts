/**
 * The world that overlays are tested in: hosts on two links with a router between them, each a throwaway host of its
 * own with its own files, and all of it dual stack:
 *
 *     a  b  c                  d  e
 *     |  |  |   west           |  |   east
 *     +--+--+--[ 192.0.2.0/24 ]   +--+--[ 198.51.100.0/24 ]
 *               fd50:1::/64  \    /      fd50:2::/64
 *                             hub (router)
 *                              |   203.0.113.0/24, fd50:3::/64
 *                         store   outside
 *
 * The hub is a throwaway host too. Its links are bridges, so that a rule on one sees and may spoil what passes. `store`
 * is where etcd runs; `outside` knows no way to containers, so it can answer only what was masqueraded.
 *
 * @module
 */
import { Host } from "../host.ts";
import { OverlayHost } from "./overlay-host.ts";

export type Family = 4 | 6;
export const FAMILIES: readonly Family[] = [4, 6];
export type HostName = "a" | "b" | "c" | "d" | "e";
export type LinkName = "west" | "east";
export const HOST_NAMES: readonly HostName[] = ["a", "b", "c", "d", "e"];

export interface Place {
  readonly link: LinkName;
  readonly 4: string;
  readonly 6: string;
}

/** Where each host is on the underlay. */
export const PLACES: Readonly<Record<HostName, Place>> = {
  a: { link: "west", 4: "192.0.2.11", 6: "fd50:1::11" },
  b: { link: "west", 4: "192.0.2.12", 6: "fd50:1::12" },
  c: { link: "west", 4: "192.0.2.13", 6: "fd50:1::13" },
  d: { link: "east", 4: "198.51.100.14", 6: "fd50:2::14" },
  e: { link: "east", 4: "198.51.100.15", 6: "fd50:2::15" },
};

/** The hub's address on each link, and the link's network. */
export const LINKS: Readonly<Record<LinkName | "services", Readonly<Record<Family, string>>>> = {
  west: { 4: "192.0.2.254", 6: "fd50:1::254" },
  east: { 4: "198.51.100.254", 6: "fd50:2::254" },
  services: { 4: "203.0.113.254", 6: "fd50:3::254" },
};
/** Namespaces of the hub beyond the router. */
export const STORE: Readonly<Record<Family, string>> = { 4: "203.0.113.10", 6: "fd50:3::10" };
export const OUTSIDE: Readonly<Record<Family, string>> = { 4: "203.0.113.20", 6: "fd50:3::20" };

export interface World extends AsyncDisposable {
  readonly hub: Host;
  readonly hosts: readonly OverlayHost[];
  host(name: HostName): OverlayHost;
  /** Nothing passes between a host and its link from now on, and its interface does not tell. */
  cut(name: HostName): Promise<void>;
  mend(name: HostName): Promise<void>;
  /** Takes the cable out of a host: its interface has no carrier until the cable is in again. */
  unplug(name: HostName): Promise<void>;
  plug(name: HostName): Promise<void>;
  destroy(): Promise<void>;
}

/** Makes the world with these hosts; all five unless given. */
export async function overlayWorld(names: readonly HostName[] = HOST_NAMES): Promise<World> {
  const made = await Promise.all([Host.create(), ...names.map(() => Host.create())]);
  const [hub, ...rest] = made;
  const destroy = async () => void (await Promise.all(made.map((host) => host.destroy())));
  try {
    await makeHub(hub);
    const hosts = names.map((name, index) => new OverlayHost(name, PLACES[name], rest[index] ?? hub));
    for (const { name, host, place } of hosts) await connect(hub, name, host, place);
    const host = (name: HostName) => {
      const found = hosts.find((one) => one.name === name);
      if (found === undefined) throw new Error(`this world has no host ${name}`);
      return found;
    };
    const port = async (name: HostName, state: string) =>
      void (await hub.sh(`bridge link set dev to-${name} ${state}`));
    const cable = async (name: HostName, state: string) => void (await hub.sh(`ip link set to-${name} ${state}`));
    return {
      hub,
      hosts,
      host,
      cut: (name) => port(name, "state 0"),
      mend: (name) => port(name, "state 3"),
      unplug: (name) => cable(name, "down"),
      plug: (name) => cable(name, "up"),
      destroy,
      [Symbol.asyncDispose]: destroy,
    };
  } catch (error) {
    await destroy();
    throw error;
  }
}

async function makeHub(hub: Host): Promise<void> {
  const bridge = (name: LinkName | "services") => `
    ip link add ${name} type bridge mcast_snooping 0
    ip addr add ${LINKS[name][4]}/24 dev ${name}
    ip addr add ${LINKS[name][6]}/64 dev ${name} nodad
    ip link set ${name} up`;
  const beyond = (name: "store" | "outside", at: Readonly<Record<Family, string>>) => `
    ip netns add ${name}
    ip -n ${name} link set lo up
    ip link add to-${name} type veth peer name eth0 netns ${name}
    ip link set to-${name} master services up
    ip -n ${name} addr add ${at[4]}/24 dev eth0
    ip -n ${name} addr add ${at[6]}/64 dev eth0 nodad
    ip -n ${name} link set eth0 up
    ${UNDERLAYS[4].map((net) => `ip -n ${name} route add ${net} via ${LINKS.services[4]}`).join("\n")}
    ${UNDERLAYS[6].map((net) => `ip -n ${name} route add ${net} via ${LINKS.services[6]}`).join("\n")}`;
  await hub.sh(`
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
    sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
    # Its rules are those of a router: what stays on one link does not pass them.
    for name in iptables ip6tables; do sysctl -qw net.bridge.bridge-nf-call-$name=0 2>/dev/null || true; done
    ${bridge("west")} ${bridge("east")} ${bridge("services")}
    ${beyond("store", STORE)} ${beyond("outside", OUTSIDE)}
  `);
}

const UNDERLAYS: Readonly<Record<Family, readonly string[]>> = {
  4: ["192.0.2.0/24", "198.51.100.0/24"],
  6: ["fd50:1::/64", "fd50:2::/64"],
};

/** The veth is made in the machine's pid namespace, where both ends have a number. */
async function connect(hub: Host, name: HostName, host: Host, place: Place): Promise<void> {
  const veth = `ip link add to-${name} type veth peer name eth0 netns ${host.pid}
    ip link set to-${name} master ${place.link} up`;
  const child = Bun.spawn(["nsenter", "--target", String(hub.pid), "--net", "--", "sh", "-ec", veth], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [code, stderr] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  if (code !== 0) throw new Error(`cannot connect host ${name}: ${stderr}`);
  // Before its link-local address counts, a router asks for no neighbour's on behalf of others: no waiting for that.
  await host.sh(`
    sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.accept_ra=0
    sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
    ${addressing(place)}
  `);
}

/** What a host's network manager does when the interface comes up. */
export function addressing(place: Place): string {
  return `
    ip link set eth0 up
    ip addr replace ${place[4]}/24 dev eth0
    ip addr replace ${place[6]}/64 dev eth0 nodad
    ip route replace default via ${LINKS[place.link][4]}
    ip -6 route replace default via ${LINKS[place.link][6]}`;
}
