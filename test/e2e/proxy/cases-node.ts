/**
 * What is the node's own: unused ports and addresses, loopback, a balancer beyond, packets that no connection knows.
 *
 * @module
 */
import { expect, test } from "vitest";
import type { Stage } from "./cases.ts";
import { addressOf, type Svc } from "./manifests.ts";
import { type Question, shortly } from "./prober.ts";
import { FAMILIES } from "./proxy.ts";
import { reach } from "./reach.ts";
import { ADDRESSES, counting, type Family, type World } from "./world.ts";

const web: Svc = { name: "web", n: 60, ports: [{ nodePort: 30060 }], loadBalancer: true, endpoints: ["local1"] };

const tcp = (address: string, port: number): Question => ({ protocol: "tcp", address, port });

export function nodes(stage: () => Stage): void {
  unused(stage);
  loopback(stage);
  own(stage);
  balancers(stage);
  invalid(stage);
}

function unused(stage: () => Stage): void {
  test.each(FAMILIES)(
    "nftables: unused ports of a cluster IP refuse, unassigned addresses are silent, IPv%i",
    async (family) => {
      const { world, proxy, mode } = stage();
      await proxy.bring([web]);
      const nobody = family === 4 ? "10.96.7.7" : "fd00:10:96::7777";
      for (const from of ["local2", "node", "external"] as const) {
        const port = tcp(addressOf(web, "clusterIP", family), 81);
        const seen = [await reach(world, from, port, "dropped"), await reach(world, from, tcp(nobody, 80), "dropped")];
        // In iptables mode both go wherever the node's routes lead: here to somebody who keeps silent.
        expect([from, ...seen]).toEqual([from, mode === "nftables" ? "refused" : "dropped", "dropped"]);
      }
      const udp: Question = { ...tcp(addressOf(web, "clusterIP", family), 80), protocol: "udp" };
      expect(await reach(world, "local2", udp, "dropped")).toBe(mode === "nftables" ? "refused" : "dropped");
    },
  );
}

function loopback(stage: () => Stage): void {
  test("node ports on 127.0.0.1 in iptables mode alone, for the node alone (row 18)", async () => {
    const { world, proxy, mode } = stage();
    await proxy.bring([web]);
    const seen = await reach(world, "node", tcp("127.0.0.1", 30060), "local1 as node");
    expect(seen).toBe(mode === "iptables" ? "local1 as node" : "refused");
    expect(await reach(world, "node", tcp("::1", 30060), "refused")).toBe("refused");
  });

  test("a neighbour's packet to the node's 127.0.0.1 is dropped (row 18)", async () => {
    const { world } = stage();
    await world.prober.serve(world.netns("node"), "node", { tcp: [7777], udp: [7777], sctp: [] });
    await using _ = await world.meanwhile("peer", ESCAPE, RETURN);
    await using came = await counting(world, "node", 4, "iifname up0 ip daddr 127.0.0.1");
    for (const protocol of ["tcp", "udp"] as const) {
      const seen = await reach(
        world,
        "peer",
        { ...tcp("127.0.0.1", 7777), protocol, sourceAddress: ADDRESSES.peer[4] },
        "dropped",
      );
      expect([protocol, seen]).toEqual([protocol, "dropped"]);
      expect(shortly(await world.prober.ask("node", { ...tcp("127.0.0.1", 7777), protocol }))).toBe(
        "node as 127.0.0.1",
      );
    }
    // They did arrive.
    expect(await came.packets()).toBeGreaterThan(0);
  });
}

// A neighbour whose own loopback is no longer in the way sends 127.0.0.1 over the wire.
const ESCAPE = `
  for conf in all up0; do echo 1 >/proc/sys/net/ipv4/conf/$conf/route_localnet; done
  ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via ${ADDRESSES.node[4]}`;
const RETURN = `ip route del 127.0.0.1/32; ip addr add 127.0.0.1/8 dev lo`;

function own(stage: () => Stage): void {
  test.each(FAMILIES)("endpoints in the nodes' own network, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const ports = [{ target: 9090, nodePort: 30060 }];
    await proxy.bring([{ ...web, ports, endpoints: [{ pod: "node" }, { pod: "peer" }] }]);
    const address = addressOf(web, "clusterIP", family);
    expect(await reach(world, "local2", tcp(address, 80), "node,peer as itself")).toBe("node,peer as itself");
    expect(await reach(world, "node", tcp(address, 80), "node,peer as itself,node")).toMatch(/^node,peer as /);
    for (const frontend of [tcp(address, 80), tcp(ADDRESSES.node[family], 30060)]) {
      await proxy.change({ ...web, ports, endpoints: [{ pod: "peer" }] });
      expect(await reach(world, "external", frontend, "peer as node")).toBe("peer as node");
      // What the node itself takes in is never masqueraded.
      await proxy.change({ ...web, ports, endpoints: [{ pod: "node" }] });
      expect(await reach(world, "external", frontend, "node as itself")).toBe("node as itself");
    }
  });

  test.each(FAMILIES)("an external IP that is the node's own leaves its other ports alone, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const svc: Svc = {
      name: "own",
      n: 61,
      ports: [{ port: 8088 }],
      externalIP: "node",
      endpoints: ["local1", "remote1"],
    };
    await proxy.bring([svc]);
    const address = ADDRESSES.node[family];
    for (const from of ["local2", "remote2", "external", "node"] as const) {
      const seen = await reach(world, from, tcp(address, 8088), "local1,remote1 as node");
      expect([from, seen]).toEqual([from, "local1,remote1 as node"]);
      expect(await reach(world, from, tcp(address, 9090), "node as itself")).toBe("node as itself");
    }
    await proxy.change({ ...svc, endpoints: [] });
    for (const from of ["local2", "remote2", "external", "node"] as const) {
      expect([from, await reach(world, from, tcp(address, 8088), "refused")]).toEqual([from, "refused"]);
    }
  });

  test.each(FAMILIES)("a service of one family takes its node port in that family alone, IPv%i", async (family) => {
    const { world, proxy } = stage();
    await proxy.bring([{ ...web, family }]);
    const other = family === 4 ? 6 : 4;
    expect(await reach(world, "external", tcp(ADDRESSES.node[family], 30060), "local1 as node")).toBe("local1 as node");
    expect(await reach(world, "external", tcp(ADDRESSES.node[other], 30060), "refused")).toBe("refused");
  });
}

function balancers(stage: () => Stage): void {
  test.each(FAMILIES)("a load balancer of ipMode Proxy is not bypassed (row 20), IPv%i", async (family) => {
    const { world, proxy } = stage();
    const address = addressOf(web, "loadBalancer", family);
    const lo = `${address}/${family === 4 ? 32 : 128} dev lo`;
    await using _ = await world.meanwhile("external", `ip addr add ${lo}`, `ip addr del ${lo}`);
    await world.prober.serve(world.netns("external"), "balancer", { tcp: [80], udp: [], sctp: [] }).catch(() => {});
    await proxy.bring([web]);
    expect(shortly(await world.prober.ask("local2", tcp(address, 80)))).toContain("local1 as");
    await proxy.change({ ...web, loadBalancer: "ipMode Proxy" });
    expect(await reach(world, "local2", tcp(address, 80), "balancer as itself")).toBe("balancer as itself");
  });

  test.each(FAMILIES)("source ranges that hold the node's address let the address itself in, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const address = addressOf(web, "loadBalancer", family);
    const prefix = family === 4 ? 32 : 128;
    const lo = `${address}/${prefix} dev lo`;
    // Searched for duplicates, it cannot be used for a moment.
    const at = family === 4 ? lo : `${lo} nodad`;
    await using _ = await world.meanwhile("node", `ip addr add ${at}`, `ip addr del ${lo}`);
    const own = { ...tcp(address, 80), sourceAddress: address };
    await proxy.bring([{ ...web, sourceRanges: ["192.168.50.0/24", "fd50::/64"] }]);
    expect(await reach(world, "node", own, "local1 as node")).toBe("local1 as node");
    await proxy.change({ ...web, sourceRanges: ["192.168.50.2/32", "fd50::2/128"] });
    expect(await reach(world, "node", own, "dropped")).toBe("dropped");
    expect(await reach(world, "peer", tcp(address, 80), "local1 as node")).toBe("local1 as node");
  });
}

function invalid(stage: () => Stage): void {
  test.each(FAMILIES)(
    "a segment outside its window ends no connection, nor shows a pod's address (row 19), IPv%i",
    async (family) => {
      const { world, proxy } = stage();
      await proxy.bring([unmasqueraded]);
      expect(await world.sh("node", "cat /proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")).toBe("1\n");
      expect(await strays(world, unmasqueraded, family)).toBe(0);
    },
  );
}

/**
 * Sends segments of a connection's server that lie far outside of its window: how many of them the client sees come
 * from the pod's own address, which is nobody that he talks to. The connection has to live on.
 */
export async function strays(world: World, svc: Svc, family: Family): Promise<number> {
  const question = tcp(addressOf(svc, "loadBalancer", family), 80);
  await using open = await world.prober.open(world.netns("external"), question);
  if (!("source" in open.answer)) throw new Error(`no connection: ${open.answer.outcome}`);
  const { source, sourcePort, at, atPort } = open.answer;
  await using untranslated = await counting(world, "external", family, `${family === 4 ? "ip" : "ip6"} saddr ${at}`);
  const [from, to] = [
    { address: at, port: atPort },
    { address: source, port: sourcePort },
  ];
  for (const sequence of [0x10000000, 0x50000000, 0x90000000, 0xd0000000]) {
    await world.prober.stray(world.netns("local1"), from, to, sequence);
  }
  expect(await open.say("still here")).toBe("still here");
  return await untranslated.packets();
}

/** Whose server sees the client's own address: what it sends to it is seen by the client, translated or not. */
export const unmasqueraded: Svc = { name: "seen", n: 62, loadBalancer: true, external: "Local", endpoints: ["local1"] };
