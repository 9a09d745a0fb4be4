/**
 * Damage done by hand on a host whose agent runs, of each kind: it is as before within a second, and how long that
 * took is printed.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { OverlayHost } from "./overlay-host.ts";
import { networkOf, StaticPeers } from "./peer-source.ts";
import { only, reachedAfter } from "./unfelt.ts";
import { FAMILIES, overlayWorld, PLACES, type World } from "./world.ts";

const REPAIR_MS = 1000;
const PATIENCE_MS = 5000;
const V4 = "10.244.2.0";
const V6 = "fd00:10:244:2::";

let world: World;
let a: OverlayHost;
let sound: string;
const times: string[] = [];

beforeAll(async () => {
  world = await overlayWorld(["a", "b", "d"]);
  const peers = new StaticPeers(world);
  await peers.network(networkOf());
  for (const host of world.hosts) await peers.add(host);
  // No comparison is due meanwhile: what is repaired was noticed by the kernel's events.
  await Promise.all(world.hosts.map((host) => host.start([...peers.flags(), "--compare-period", "1h"])));
  await Promise.all(world.hosts.map((host) => host.ready(2)));
  await Promise.all(world.hosts.map((host) => host.attach(`${host.name}1`)));
  a = world.host("a");
  sound = await held();
});
afterAll(async () => {
  console.log(`ms to repair:\n${times.join("\n")}`);
  await world?.destroy();
});

/** All that the agent keeps in the kernel of host a, less what is of others and what changes by itself. */
async function held(): Promise<string> {
  return await a.sh(`
    for dev in tsnet.1 tsnet-v6.1; do
      ip -o link show dev $dev | sed -E 's/^[0-9]+: //; s/ state .* link/ link/'
      ip -o addr show dev $dev scope global | sed -E 's/^[0-9]+: //; s/valid_lft.*//'
      ip -4 route show dev $dev; ip -6 route show dev $dev | grep -vE '^fe80|proto kernel' | sort || true
      ip neigh show dev $dev nud permanent | sort; bridge fdb show dev $dev | sort
      cat /proc/sys/net/ipv4/conf/$dev/rp_filter
    done
    ip route show table all proto 116 | sort
    iptables-save 2>/dev/null | grep -E '^-A' || true
    ip6tables-save 2>/dev/null | grep -E '^-A' || true
    nft -s list ruleset 2>/dev/null`);
}

async function repaired(what: string): Promise<number> {
  const start = performance.now();
  for (;;) {
    const now = await held().catch(String);
    const ms = Math.round(performance.now() - start);
    if (now === sound) {
      times.push(`${String(ms).padStart(6)}  ${what}`);
      return ms;
    }
    if (ms > PATIENCE_MS) expect(now, `${what} after ${ms} ms`).toBe(sound);
  }
}

const DAMAGE: readonly (readonly [what: string, script: string])[] = [
  ["row 16: a route is deleted", `ip route del ${V4}/24`],
  ["row 16: an IPv6 route is deleted", `ip -6 route del ${V6}/64`],
  [
    "row 16: all routes of the device are flushed",
    "ip route flush dev tsnet.1; ip -6 route flush dev tsnet-v6.1 proto all || true",
  ],
  ["a route is replaced", `ip route replace ${V4}/24 via 192.0.2.254`],
  ["a route is added to the device", "ip route add 10.99.0.0/16 dev tsnet.1"],
  ["a route with our protocol number is added elsewhere", "ip route add 10.98.0.0/16 via 192.0.2.254 proto 116"],
  ["row 16: a neighbour is deleted", `ip neigh del ${V4} dev tsnet.1`],
  ["an IPv6 neighbour is deleted", `ip neigh del ${V6} dev tsnet-v6.1`],
  ["a neighbour gets another MAC", `ip neigh replace ${V4} lladdr 0a:0b:0c:0d:0e:0f dev tsnet.1 nud permanent`],
  ["a neighbour is added", "ip neigh add 10.99.0.1 lladdr 0a:0b:0c:0d:0e:0f dev tsnet.1 nud permanent"],
  [
    "row 16: the FDB is emptied",
    "for dev in tsnet.1 tsnet-v6.1; do bridge fdb show dev $dev | while read mac rest; do bridge fdb del $mac dev $dev; done; done",
  ],
  [
    "an FDB entry leads elsewhere",
    "mac=$(bridge fdb show dev tsnet.1 | head -1 | cut -d' ' -f1); bridge fdb replace $mac dev tsnet.1 dst 192.0.2.99",
  ],
  ["an FDB entry is added", "bridge fdb append 0a:0b:0c:0d:0e:0f dev tsnet.1 dst 192.0.2.99"],
  ["the address is deleted", "ip addr flush dev tsnet.1 scope global"],
  ["the IPv6 address is deleted", "ip -6 addr flush dev tsnet-v6.1 scope global"],
  ["an address is added", "ip addr add 10.99.0.1/24 dev tsnet.1"],
  ["the device is set down", "ip link set tsnet.1 down"],
  ["the IPv6 device is set down", "ip link set tsnet-v6.1 down"],
  ["row 15: the MAC is rewritten", "ip link set tsnet.1 address 0a:0b:0c:0d:0e:0f"],
  ["row 17: the MTU is changed", "ip link set tsnet.1 mtu 1280"],
  ["the device is deleted", "ip link del tsnet.1"],
  ["both devices are deleted", "ip link del tsnet.1; ip link del tsnet-v6.1"],
  ["the rules are flushed", "nft flush ruleset; iptables -F 2>/dev/null; iptables -t nat -F 2>/dev/null; true"],
];

describe("damage", () => {
  it.each(DAMAGE)("%s", async (what, script) => {
    await a.sh(script);
    const ms = await repaired(what);
    expect(ms).toBeLessThan(REPAIR_MS);
  });

  it("the device is replaced by another", async () => {
    // Stopped, since it would have its own again before theirs.
    await a.agent.signal("STOP");
    await a.sh("ip link del tsnet.1; ip link add tsnet.1 type vxlan id 1 dev eth0 dstport 8472 learning");
    await a.agent.signal("CONT");
    expect(await repaired("the device is replaced by another")).toBeLessThan(REPAIR_MS);
  });

  it("leaves no container out of reach", async () => {
    for (const family of FAMILIES) {
      await reachedAfter(only(a.containers), only(world.host("b").containers), family, 2000);
      await reachedAfter(only(world.host("d").containers), only(a.containers), family, 2000);
    }
  });

  it("row 17: the MTU follows the underlay's", async () => {
    await a.sh("ip link set eth0 mtu 1400");
    const state = await a.until("the MTU", ({ mtu }) => mtu === 1330, PATIENCE_MS);
    expect(state.mtu).toBe(1330);
    expect(a.read("/run/flannel/subnet.env")).toContain("FLANNEL_MTU=1330\n");
    expect(await a.sh("ip -o link show tsnet-v6.1")).toContain("mtu 1330");
    await a.sh("ip link set eth0 mtu 1500");
    await a.until("the MTU", ({ mtu }) => mtu === 1430, PATIENCE_MS);
    await repaired("the underlay's MTU is as before");
  });

  it("the underlay flaps and nothing is missing after", async () => {
    await world.unplug("a");
    await world.plug("a");
    await a.sh(`ip link set eth0 down; ip link set eth0 up; ip route replace default via 192.0.2.254
      ip addr replace ${PLACES.a[6]}/64 dev eth0 nodad; ip -6 route replace default via fd50:1::254`);
    expect(await repaired("the underlay's interface went down and up")).toBeLessThan(REPAIR_MS);
    for (const family of FAMILIES) {
      await reachedAfter(only(a.containers), only(world.host("d").containers), family, 2000);
    }
  });
});
