/**
 * Who reaches whom, with each way of carrying packets, on any source of peers; and that a host is as before at the end.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { OverlayHost } from "./overlay-host.ts";
import { networkOf, type PeerSource } from "./peer-source.ts";
import { refusesMore, seenOutside, unreachedByHosts, unreachedByPing, unreachedByTcp } from "./reach.ts";
import { FAMILIES, overlayWorld, type World } from "./world.ts";

/** The network's Backend, the MTU that containers get on an underlay of 1500, and the packet filter for a change. */
const BACKENDS = {
  vxlan: { backend: { Type: "vxlan", VNI: 1 }, mtu: 1430, firewall: "iptables" },
  "vxlan with directRouting": {
    ...{ backend: { Type: "vxlan", VNI: 1, DirectRouting: true }, mtu: 1430 },
    firewall: "nftables",
  },
  "host-gw": { backend: { Type: "host-gw" }, mtu: 1500, firewall: "nftables" },
} as const;
type BackendName = keyof typeof BACKENDS;

export function matrixCases(source: PeerSource["kind"], open: (world: World) => Promise<PeerSource>): void {
  describe.each(Object.keys(BACKENDS) as BackendName[])(`five hosts on ${source}, %s`, (name) => {
    const { backend, mtu, firewall } = BACKENDS[name];
    let world: World;
    let peers: PeerSource;
    let before: readonly string[];
    beforeAll(async () => {
      world = await overlayWorld();
      peers = await open(world);
      await peers.network(networkOf(backend));
      for (const host of world.hosts) await peers.add(host);
      before = await Promise.all(world.hosts.map((host) => snapshot(host)));
      await Promise.all(world.hosts.map((host) => host.start([...peers.flags(host), "--firewall", firewall])));
      await Promise.all(world.hosts.map((host) => host.ready(world.hosts.length - 1)));
      if (name === "host-gw") await teachRouter(world);
      await Promise.all(world.hosts.map((host) => host.attach(`${host.name}1`)));
    });
    afterAll(async () => {
      await peers?.[Symbol.asyncDispose]();
      await world?.destroy();
    });
    const containers = () => world.hosts.flatMap((host) => host.containers);

    it("every container and every host reaches every container, in full size and no more", async () => {
      expect(await unreachedByPing(containers(), mtu)).toEqual([]);
      expect(await unreachedByHosts(world.hosts, containers())).toEqual([]);
      const [first, second] = containers();
      if (first === undefined || second === undefined) throw new Error("no containers");
      for (const family of FAMILIES) expect(await refusesMore(first, second, mtu, family)).toBe(true);
    });

    it("every container reaches every other by TCP, and is seen as itself", async () => {
      expect(await unreachedByTcp(containers())).toEqual([]);
    });

    it("what leaves the cluster leaves with the host's address", async () => {
      const [first] = containers();
      if (first === undefined) throw new Error("no containers");
      for (const family of FAMILIES) expect(await seenOutside(first, family)).toBe(true);
      const rules = await world.host("a").sh("iptables-save; nft list tables");
      expect(rules.includes("MASQUERADE")).toBe(firewall === "iptables");
    });

    it("packets go the way that was asked for", async () => {
      const [near, far] = await Promise.all([wayTo(world, "b"), wayTo(world, "d")]);
      const tunnelled = [expect.stringContaining("dev tsnet.1"), expect.stringContaining("dev tsnet-v6.1")];
      const direct = [expect.stringContaining("dev eth0"), expect.stringContaining("dev eth0")];
      expect(near).toEqual(name === "vxlan" ? tunnelled : direct);
      expect(far).toEqual(name === "host-gw" ? direct : tunnelled);
    });

    it("containers row 8: after --cleanup every host is as before", async () => {
      await Promise.all(world.hosts.map((host) => takeAway(host, peers)));
      const after = await Promise.all(world.hosts.map((host) => snapshot(host)));
      expect(after).toEqual(before);
    });
  });
}

/** host-gw beyond a router needs that router to know who has what. */
async function teachRouter({ hub, hosts }: World): Promise<void> {
  const routes = hosts.flatMap((host) => {
    const subnets = host.state()?.subnets ?? [];
    return subnets.map((subnet) => `ip route add ${subnet} via ${host.place[subnet.includes(":") ? 6 : 4]}`);
  });
  await hub.sh(routes.join("\n"));
}

/** How host a sends to the containers of another, of both families. */
async function wayTo(world: World, name: "b" | "d"): Promise<readonly string[]> {
  const [to] = world.host(name).containers;
  if (to === undefined) throw new Error(`no container on ${name}`);
  return Promise.all(FAMILIES.map((family) => world.host("a").sh(`ip route get ${to.address(family)}`)));
}

/** First the containers, then what is under them. */
async function takeAway(host: OverlayHost, peers: PeerSource): Promise<void> {
  for (const { name } of [...host.containers]) await host.detach(name);
  const { exitCode, stdout, stderr } = await host.cleanup(peers.flags(host));
  expect({ exitCode, stdout, stderr }).toMatchObject({ exitCode: 0 });
}

/** What a host looks like, with what agents write beside the rest; without connections, which end by themselves. */
export async function snapshot(host: OverlayHost): Promise<string> {
  const files = "find /etc/cni /run/flannel /run/tsnet /var/lib/tsnet -type f 2>/dev/null | grep -v /lock$ | sort";
  const sysctls = "sysctl -a 2>/dev/null | grep -E '^net.ipv[46].conf.(all|default|eth0|lo).(rp_filter|accept_ra) '";
  const seen = (await host.host.snapshot()).replace(/^# conntrack\n[^#]*/m, "");
  return seen + (await host.sh(`${files}; ${sysctls}`));
}
