/**
 * A host of the overlay with everybody that its rules tell apart: a container of its own, one of another host, and
 * somebody outside. Straight routes stand for the tunnel, as the rules know addresses alone.
 *
 *     pod  10.244.1.2  fd00:244:1::2     behind this host, which is 10.244.1.1 there
 *     far  10.244.2.2  fd00:244:2::2     behind 192.0.2.2, this host being 192.0.2.1
 *     out  198.51.100.2  fd00:198::2     outside, this host being 198.51.100.1
 *
 * @module
 */
import { Host } from "../../e2e/host.ts";
import { ask, serve } from "../../e2e/packets.ts";

export const PORT = 8080;

export const POD = { 4: "10.244.1.2", 6: "fd00:244:1::2" } as const;
export const FAR = { 4: "10.244.2.2", 6: "fd00:244:2::2" } as const;
export const OUT = { 4: "198.51.100.2", 6: "fd00:198::2" } as const;
/** This host, as `far` and `out` see it. */
export const US_FAR = { 4: "192.0.2.1", 6: "fd00:192::1" } as const;
export const US_OUT = { 4: "198.51.100.1", 6: "fd00:198::1" } as const;

export async function makeWorld(): Promise<Host> {
  const host = await Host.create();
  await host.sh(`
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    link() { # NAME, this host's two addresses, its two
      ip netns add $1
      ip -n $1 link set lo up
      ip link add to-$1 type veth peer name eth0 netns $1
      ip addr add $2 dev to-$1; ip addr add $3 dev to-$1 nodad
      ip link set to-$1 up; ip -n $1 link set eth0 up
      ip -n $1 addr add $4 dev eth0; ip -n $1 addr add $5 dev eth0 nodad
    }
    link pod 10.244.1.1/24 fd00:244:1::1/64 10.244.1.2/24 fd00:244:1::2/64
    link far 192.0.2.1/24 fd00:192::1/64 192.0.2.2/24 fd00:192::2/64
    link out 198.51.100.1/24 fd00:198::1/64 198.51.100.2/24 fd00:198::2/64
    ip -n far addr add 10.244.2.2/32 dev lo; ip -n far addr add fd00:244:2::2/128 dev lo
    ip route add 10.244.2.0/24 via 192.0.2.2; ip route add fd00:244:2::/64 via fd00:192::2
    ip -n pod route add default via 10.244.1.1; ip -n pod route add default via fd00:244:1::1
    ip -n out route add default via 198.51.100.1; ip -n out route add default via fd00:198::1
    ip -n far route add default via 192.0.2.1 src 10.244.2.2
    ip -n far route add default via fd00:192::1 src fd00:244:2::2
  `);
  await Promise.all(["pod", "far", "out"].map((name) => serve(host, name, PORT, name)));
  return host;
}

/** As whom `from` ("" is this host) is seen at `to`; undefined if nothing comes back. */
export async function seenAs(host: Host, from: string, to: string): Promise<string | undefined> {
  return (await ask(host, from, "tcp", to, PORT))?.split(" ")[1];
}
