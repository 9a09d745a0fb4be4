/**
 * The world around a node whose proxy is under test, in namespaces of one throwaway host:
 *
 *     external ---- 203.0.113.0/24 ---- node ---- 192.168.50.0/24 ---- peer
 *     (and 172.20.0.0/16)                | br0 10.244.1.0/24            | br0 10.244.2.0/24
 *                                    local1 local2                  remote1 remote2
 *
 * All dual stack. The node is the host's own network namespace; or one of its own, with a prefix to every name, so
 * that several such worlds with the very same addresses lie side by side in one host. Everybody beyond the node
 * sends to it whatever he has no nearer route to, so that service, external and load-balancer addresses come by.
 *
 * Behind local1 lies a farm, 10.244.3.0/24: any address of it is local1's own, for services of many endpoints;
 * and any address of 172.20.0.0/16 is external's, for many clients.
 *
 * @module
 */
import { Host } from "../host.ts";
import { Prober } from "./prober.ts";

export type Family = 4 | 6;

export type Pod = "local1" | "local2" | "remote1" | "remote2";
export type Place = Pod | "external" | "node" | "peer";

/** Where packets come from and go to, each place's own address. */
export const ADDRESSES: Readonly<Record<Place, Readonly<Record<Family, string>>>> = {
  local1: { 4: "10.244.1.11", 6: "fd00:10:244:1::11" },
  local2: { 4: "10.244.1.12", 6: "fd00:10:244:1::12" },
  remote1: { 4: "10.244.2.11", 6: "fd00:10:244:2::11" },
  remote2: { 4: "10.244.2.12", 6: "fd00:10:244:2::12" },
  external: { 4: "203.0.113.100", 6: "2001:db8:203::100" },
  node: { 4: "192.168.50.1", 6: "fd50::1" },
  peer: { 4: "192.168.50.2", 6: "fd50::2" },
};

/** The node's address on its own pods' bridge: what they see of the node, and of whatever is masqueraded. */
export const GATEWAY: Readonly<Record<Family, string>> = { 4: "10.244.1.1", 6: "fd00:10:244:1::1" };
/** The node's address towards external. */
export const OUTSIDE: Readonly<Record<Family, string>> = { 4: "203.0.113.1", 6: "2001:db8:203::1" };
/** The pods of the node: Node.spec.podCIDRs. */
export const POD_CIDRS = ["10.244.1.0/24", "fd00:10:244:1::/64"] as const;
/** The Service CIDRs; no network of this world lies in one. */
export const SERVICE_CIDRS = ["10.96.0.0/12", "fd00:10:96::/108"] as const;

export const PODS: readonly Pod[] = ["local1", "local2", "remote1", "remote2"];
const PLACES: readonly Place[] = [...PODS, "external", "peer"];

/** The `n`th address of the farm behind local1, from 1 on. */
export function farm(n: number, family: Family): string {
  return family === 4 ? `10.244.3.${n}` : `fd00:10:244:3::${n.toString(16)}`;
}

/** The `n`th of the many clients in external, from 1 on. */
export function crowd(n: number, family: Family): string {
  return family === 4 ? `172.20.${n >> 8}.${n & 255}` : `fd72::${n.toString(16)}`;
}

/** The name of the Node object, and of the node that the pods behind {@link ADDRESSES} `remote1` are on. */
export const NODE_NAME = "node-a";
export const PEER_NAME = "node-b";

/** Ports on which every pod answers. */
export const SERVED = { tcp: [8080, 8081], udp: [8080, 8081], sctp: [8080] } as const;
/** Ports on which the nodes themselves answer, as pods of the host's network do. */
export const HOST_SERVED = { tcp: [9090], udp: [9090], sctp: [] } as const;

export interface World {
  readonly host: Host;
  readonly prober: Prober;
  /** The namespace's name of a place in this world. */
  netns(place: Place): string;
  /** Runs a shell script in the namespace of a place and returns its output. @throws Error if it fails. */
  sh(place: Place, script: string): Promise<string>;
  /** Runs `script` there, and `undo` at the end of the block. */
  meanwhile(place: Place, script: string, undo: string): Promise<AsyncDisposable>;
}

export interface ProxyWorld extends World, AsyncDisposable {
  destroy(): Promise<void>;
}

/** Counts, until the end of the block, what arrives at a place (before anything is done to it) and `match`es, in nft's words. */
export async function counting(
  world: World,
  place: Place,
  family: Family,
  match: string,
): Promise<AsyncDisposable & { packets(): Promise<number>; seen(): Promise<string> }> {
  const table = `${family === 4 ? "ip" : "ip6"} counting`;
  const address = family === 4 ? "ip saddr" : "ip6 saddr";
  const key = `${address} . meta l4proto . th sport . th dport`;
  const rule = `type filter hook prerouting priority -450; ${match} counter update @seen { ${key} counter };`;
  const set = `set seen { typeof ${key}; flags dynamic; size 1000; }`;
  const counter = await world.meanwhile(
    place,
    `nft 'table ${table} { ${set}; chain c { ${rule} }; }'`,
    `nft delete table ${table}`,
  );
  const packets = async () =>
    Number(/counter packets (\d+) bytes \d+ update/.exec(await world.sh(place, `nft list table ${table}`))?.[1]);
  const seen = () => world.sh(place, `nft list set ${table} seen`);
  return { packets, seen, [Symbol.asyncDispose]: () => Promise.resolve(counter[Symbol.asyncDispose]()) };
}

/** A host with one such world on it: its own namespace is the node. */
export async function proxyWorld(): Promise<ProxyWorld> {
  const host = await Host.create();
  try {
    await host.sh("ip netns attach node $$");
    const world = await worldOn(host, "");
    const destroy = async () => {
      await world.prober.stop();
      await host.destroy();
    };
    return { ...world, destroy, [Symbol.asyncDispose]: destroy };
  } catch (error) {
    await host.destroy();
    throw error;
  }
}

/** One more world on `host`: its namespaces are called `PREFIXnode`, `PREFIXlocal1` and so on, all new. */
export async function anotherWorld(host: Host, prefix: string): Promise<World> {
  await host.sh(`ip netns add ${prefix}node; ip -n ${prefix}node link set lo up`);
  return worldOn(host, prefix);
}

async function worldOn(host: Host, prefix: string): Promise<World> {
  const netns = (place: Place) => `${prefix}${place}`;
  await host.sh(wiring(netns));
  const prober = await Prober.start(host);
  await Promise.all(PODS.map((pod) => prober.serve(netns(pod), pod, SERVED)));
  for (const place of ["node", "peer"] as const) await prober.serve(netns(place), place, HOST_SERVED);
  const sh: World["sh"] = (place, script) => host.ok(["ip", "netns", "exec", netns(place), "sh", "-ec", script]);
  return {
    host,
    prober,
    netns,
    sh,
    meanwhile: async (place, script, undo) => {
      await sh(place, script);
      return { [Symbol.asyncDispose]: async () => void (await sh(place, undo)) };
    },
  };
}

function wiring(netns: (place: Place) => string): string {
  const [node, peer, external] = [netns("node"), netns("peer"), netns("external")];
  const places = PLACES.map(netns);
  return `
    for ns in ${places.join(" ")}; do ip netns add $ns; ip -n $ns link set lo up; done
    for ns in ${node} ${places.join(" ")}; do ip netns exec $ns sh -c '${SYSCTLS}'; done
    for ns in ${node} ${peer}; do ip netns exec $ns sh -c '${FORWARDING}'; done
    ip -n ${node} link add up0 type veth peer name up0 netns ${peer}
    ip -n ${node} link add out0 type veth peer name eth0 netns ${external}
    ${bridge(node, GATEWAY)}
    ${bridge(peer, { 4: "10.244.2.1", 6: "fd00:10:244:2::1" })}
    ${PODS.map((pod) => wire(pod, netns(pod), pod.startsWith("local") ? node : peer)).join("\n")}
    ${addresses(node, "up0", ADDRESSES.node)}
    ${addresses(node, "out0", OUTSIDE)}
    ${addresses(peer, "up0", ADDRESSES.peer)}
    ${addresses(external, "eth0", ADDRESSES.external)}
    ${routes(node, peer, external, netns("local1"))}
  `;
}

// Without addresses to be checked for duplicates, and with every ICMP error sent: a kernel that is asked often
// refuses only now and then. A bridge's own traffic passes the packet filter as on any node of a cluster.
const SYSCTLS = `
  cd /proc/sys/net
  for conf in all default; do echo 0 >ipv6/conf/$conf/accept_dad; echo 0 >ipv4/conf/$conf/rp_filter; done
  echo 0 >ipv4/icmp_ratelimit; echo 1000000 >ipv4/icmp_msgs_per_sec; echo 1000000 >ipv4/icmp_msgs_burst
  echo 0 >ipv6/icmp/ratelimit
  echo 1 >ipv4/tcp_tw_reuse; echo "10000 65535" >ipv4/ip_local_port_range
`;
const FORWARDING = `
  cd /proc/sys/net; echo 1 >ipv4/ip_forward; echo 1 >ipv6/conf/all/forwarding
  for family in ip ip6; do echo 1 >bridge/bridge-nf-call-\${family}tables; done
`;

function bridge(node: string, gateway: Readonly<Record<Family, string>>): string {
  return `ip -n ${node} link add br0 type bridge\n${addresses(node, "br0", gateway)}`;
}

function addresses(netns: string, device: string, address: Readonly<Record<Family, string>>): string {
  return `
    ip -n ${netns} addr add ${address[4]}/24 dev ${device}
    ip -n ${netns} addr add ${address[6]}/64 dev ${device} nodad
    ip -n ${netns} link set ${device} up`;
}

/** As runtimes do it: a port that may send back where it came from. */
function wire(pod: Pod, netns: string, node: string): string {
  const gateway = pod.startsWith("local") ? GATEWAY : { 4: "10.244.2.1", 6: "fd00:10:244:2::1" };
  return `
    ip -n ${node} link add pod${pod} type veth peer name eth0 netns ${netns}
    ip -n ${node} link set pod${pod} master br0 up
    bridge -n ${node} link set dev pod${pod} hairpin on
    ${addresses(netns, "eth0", ADDRESSES[pod])}
    ip -n ${netns} route add default via ${gateway[4]}
    ip -n ${netns} route add default via ${gateway[6]}`;
}

function routes(node: string, peer: string, external: string, farmer: string): string {
  const both = (netns: string, to4: string, to6: string, via: Readonly<Record<Family, string>>) => `
    ip -n ${netns} route add ${to4} via ${via[4]}
    ip -n ${netns} -6 route add ${to6} via ${via[6]}`;
  return `
    ${both(node, "default", "default", ADDRESSES.external)}
    ${both(node, "10.244.2.0/24", "fd00:10:244:2::/64", ADDRESSES.peer)}
    ${both(node, "10.244.3.0/24", "fd00:10:244:3::/64", ADDRESSES.local1)}
    ${both(peer, "default", "default", ADDRESSES.node)}
    ${both(external, "default", "default", OUTSIDE)}
    ip -n ${farmer} route add local 10.244.3.0/24 dev lo; ip -n ${farmer} -6 route add local fd00:10:244:3::/64 dev lo
    ip -n ${external} route add local 172.20.0.0/16 dev lo; ip -n ${external} -6 route add local fd72::/64 dev lo`;
}
