/**
 * A VXLAN overlay made by hand with `ip` and `bridge`: what shows that the world works before any agent runs in it, and
 * what the bench compares with. Containers are attached by the bridge plugin, as with the agent.
 *
 * @module
 */
import { CONFLIST, type OverlayHost } from "./overlay-host.ts";
import type { Family } from "./world.ts";

/** Bytes, of containers: 1500 less what VXLAN over IPv6 adds. */
export const MTU = 1430;

export interface HandMade {
  /** Names of the VXLAN devices. */
  readonly devices: Readonly<Record<Family, string>>;
  /** Name and file of the network that containers are attached to. */
  readonly network: string;
  readonly list: string;
}
const ITS_OWN: HandMade = { devices: { 4: "hand4", 6: "hand6" }, network: "tsnet", list: CONFLIST };

/** Makes it on all of `hosts`, of both families, with subnets as {@link subnetOf} numbers them. */
export async function overlayByHand(hosts: readonly OverlayHost[], made: HandMade = ITS_OWN): Promise<void> {
  await Promise.all(hosts.map((host) => makeDevices(host, made)));
  await Promise.all(hosts.map((host) => addPeers(host, hosts, made.devices)));
}

/** The subnet of a host: 10.244.1.0/24 of host a, and so on; as its first address, without the prefix. */
export function subnetOf({ name }: Pick<OverlayHost, "name">, family: Family): string {
  const number = name.charCodeAt(0) - 96;
  return family === 4 ? `10.244.${number}.0` : `fd00:10:244:${number}::`;
}

/** The MAC of the VTEPs of a host. */
export function macOf({ name }: OverlayHost): string {
  return `0a:00:00:00:00:0${name.charCodeAt(0) - 96}`;
}

async function makeDevices(host: OverlayHost, { devices, network, list }: HandMade): Promise<void> {
  const device = (family: Family) => `
    ip link add ${devices[family]} address ${macOf(host)} type vxlan id 1 dev eth0 local ${host.place[family]} dstport 8472 nolearning
    ip addr add ${subnetOf(host, family)}/${family === 4 ? 32 : 128} dev ${devices[family]} ${family === 6 ? "nodad" : ""}
    ip link set ${devices[family]} mtu ${MTU} up`;
  await host.sh(`sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 ${device(4)} ${device(6)}`);
  const ranges = [[{ subnet: `${subnetOf(host, 4)}/24` }], [{ subnet: `${subnetOf(host, 6)}/64` }]];
  const ipam = { type: "host-local", ranges, routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] };
  const bridge = { type: "bridge", bridge: "cni0", isGateway: true, hairpinMode: true, mtu: MTU, ipam };
  await host.write(list, JSON.stringify({ cniVersion: "1.0.0", name: network, plugins: [bridge] }));
}

async function addPeers(host: OverlayHost, hosts: readonly OverlayHost[], devices: HandMade["devices"]): Promise<void> {
  const entries = (peer: OverlayHost, family: Family) => {
    const [subnet, device] = [subnetOf(peer, family), devices[family]];
    return `
      ip neigh replace ${subnet} lladdr ${macOf(peer)} dev ${device} nud permanent
      bridge fdb append ${macOf(peer)} dev ${device} dst ${peer.place[family]}
      ip route add ${subnet}/${family === 4 ? 24 : 64} via ${subnet} dev ${device} onlink`;
  };
  const peers = hosts.filter((peer) => peer !== host);
  await host.sh(peers.map((peer) => entries(peer, 4) + entries(peer, 6)).join("\n"));
}
