/**
 * A flannel cluster that is moved host by host: everything as flannel leaves it (device, entries, chains of rules,
 * lease, subnet.env, list of plugins, containers), written by hand, is taken over under running pings.
 *
 * What flannel 0.28 leaves is in its documentation and source: device flannel.N and flannel-v6.N, for each peer a route
 * by the first address of its subnet, a permanent neighbour and an FDB entry; FLANNEL-POSTRTG and FLANNEL-FWD.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MTU, macOf, overlayByHand, subnetOf } from "./by-hand.ts";
import type { OverlayHost } from "./overlay-host.ts";
import { type FlannelSource, networkOf, type PeerSource } from "./peer-source.ts";
import { seenOutside } from "./reach.ts";
import { only, reachedAfter, unfelt, type Ways } from "./unfelt.ts";
import { FAMILIES, overlayWorld, type World } from "./world.ts";

const DEVICES = { 4: "flannel.1", 6: "flannel-v6.1" } as const;
const NAMES = ["a", "b", "d"] as const;
const NETWORK = "cbr0";
const LIST = "/etc/cni/net.d/10-flannel.conflist";

export function flannelCases(source: PeerSource["kind"], open: (world: World) => Promise<FlannelSource>): void {
  describe(`a flannel cluster on ${source}`, () => {
    let world: World;
    let peers: FlannelSource;
    beforeAll(async () => {
      world = await overlayWorld(NAMES);
      peers = await open(world);
      await peers.network(networkOf());
      await overlayByHand(world.hosts, { devices: DEVICES, network: NETWORK, list: LIST });
      for (const host of world.hosts) {
        await peers.add(host);
        await peers.lease(host, [`${subnetOf(host, 4)}/24`, `${subnetOf(host, 6)}/64`], macOf(host));
        await leaveRest(host);
      }
      await Promise.all(world.hosts.map((host) => host.attach(`${host.name}1`, NETWORK)));
    });
    afterAll(async () => {
      await peers?.[Symbol.asyncDispose]();
      await world?.destroy();
    });
    const container = (name: OverlayHost["name"]) => only(world.host(name).containers);
    const everyone = (): Ways => [
      [container("a"), container("b"), 4],
      [container("a"), container("d"), 4],
      [container("a"), container("d"), 6],
      [container("d"), container("b"), 6],
      [container("b"), container("a"), 4],
    ];

    it("is taken over host by host, and no packet is lost", async () => {
      const before = await devicesOf(world);
      const leases = await peers.leases();
      await unfelt(everyone(), async () => {
        for (const host of world.hosts) {
          await host.sh(`rm ${LIST}`);
          await host.start([...peers.flags(host), "--cni-network", NETWORK]);
          await host.ready(NAMES.length - 1);
        }
        await Bun.sleep(500);
      });
      expect(await devicesOf(world)).toEqual(before);
      expect(await peers.leases()).toBe(leases);
    });

    it("has none of flannel's chains left, and ours do what they did", async () => {
      for (const host of world.hosts) {
        const rules = await host.sh("iptables-save; ip6tables-save; nft list ruleset");
        expect(rules).not.toMatch(/flannel/i);
      }
      for (const family of FAMILIES) expect(await seenOutside(container("a"), family)).toBe(true);
    });

    it("has the containers of before and those of after side by side, with addresses of their own", async () => {
      const a = world.host("a");
      const later = await a.attach("a2", NETWORK);
      for (const family of FAMILIES) {
        expect(later.addresses[family]).not.toBe(a.containers[0]?.addresses[family]);
        await reachedAfter(later, container("d"), family, 2000);
        await reachedAfter(container("b"), later, family, 2000);
      }
      await a.detach("a2", NETWORK);
    });

    it("detaches the containers that flannel's plugin attached", async () => {
      const a = world.host("a");
      await a.detach("a1", NETWORK);
      expect(await a.sh("ls /var/lib/cni/networks/cbr0")).not.toContain("10.244.1.");
    });
  });
}

/** subnet.env and the chains, and a firewall that lets nothing through but what they accept. */
async function leaveRest(host: OverlayHost): Promise<void> {
  await host.write(
    "/run/flannel/subnet.env",
    `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=${subnetOf(host, 4).replace(/0$/, "1")}/24
FLANNEL_IPV6_NETWORK=fd00:10:244::/48
FLANNEL_IPV6_SUBNET=${subnetOf(host, 6)}1/64
FLANNEL_MTU=${MTU}
FLANNEL_IPMASQ=true
`,
  );
  const chains = (program: string, network: string, subnet: string, multicast: string) => `
    ${program} -P FORWARD DROP
    ${program} -N FLANNEL-FWD
    ${program} -A FLANNEL-FWD -s ${network} -m comment --comment "flanneld forward" -j ACCEPT
    ${program} -A FLANNEL-FWD -d ${network} -m comment --comment "flanneld forward" -j ACCEPT
    ${program} -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
    ${program} -t nat -N FLANNEL-POSTRTG
    ${program} -t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
    ${program} -t nat -A FLANNEL-POSTRTG -s ${subnet} -d ${network} -m comment --comment "flanneld masq" -j RETURN
    ${program} -t nat -A FLANNEL-POSTRTG -s ${network} -d ${subnet} -m comment --comment "flanneld masq" -j RETURN
    ${program} -t nat -A FLANNEL-POSTRTG ! -s ${network} -d ${subnet} -m comment --comment "flanneld masq" -j RETURN
    ${program} -t nat -A FLANNEL-POSTRTG -s ${network} ! -d ${multicast} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
    ${program} -t nat -A FLANNEL-POSTRTG ! -s ${network} -d ${network} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
    ${program} -t nat -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG`;
  await host.sh(
    chains("iptables", "10.244.0.0/16", `${subnetOf(host, 4)}/24`, "224.0.0.0/4") +
      chains("ip6tables", "fd00:10:244::/48", `${subnetOf(host, 6)}/64`, "ff00::/8"),
  );
}

/** Number, name, MAC and addresses of the devices: the same ones as before, not others like them. */
async function devicesOf({ hosts }: World): Promise<readonly string[]> {
  const show =
    "ip -o link show type vxlan | sed -E 's/ mtu .*link/ link/'; ip -o addr show scope global | grep flannel";
  return Promise.all(hosts.map((host) => host.sh(show)));
}
