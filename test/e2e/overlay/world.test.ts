/**
 * The world that overlays are tested in, proven by an overlay made by hand: what the tests see there is the world's
 * doing, so that what they see with an agent is the agent's.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MTU, overlayByHand } from "./by-hand.ts";
import { EtcdPeers } from "./etcd-peers.ts";
import { refusesMore, seenOutside, unreachedByHosts, unreachedByPing, unreachedByTcp } from "./reach.ts";
import { FAMILIES, overlayWorld, PLACES, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await overlayWorld();
});
afterAll(() => world.destroy());

describe("the world", () => {
  it("has an underlay of two links, on which all hosts reach each other", async () => {
    const pings = world.hosts.map(({ place }) => FAMILIES.map((family) => `ping -qn -c 1 -W 2 ${place[family]}`));
    for (const host of world.hosts) await host.sh(pings.flat().join("\n"));
    expect(await world.host("a").sh(`ip route get ${PLACES.b[4]}`)).not.toContain("via");
    expect(await world.host("a").sh(`ip route get ${PLACES.d[4]}`)).toContain("via 192.0.2.254");
  });

  it("has an etcd beyond the router, which asks for certificates", async () => {
    await using peers = await EtcdPeers.start(world);
    const { ca, cert, key } = peers.etcd.files;
    const health = (more: string) =>
      world.host("d").sh(`curl -s --cacert ${ca} ${more} ${peers.etcd.endpoint}/health || echo no`);
    expect(await health(`--cert ${cert} --key ${key}`)).toContain('"health":"true"');
    expect(await health("")).toBe("no\n");
  });

  it("carries an overlay made by hand: containers reach each other in full size, by TCP and as themselves", async () => {
    await overlayByHand(world.hosts);
    const containers = await Promise.all(world.hosts.map((host) => host.attach(`${host.name}1`)));
    expect(await unreachedByPing(containers, MTU)).toEqual([]);
    expect(await unreachedByHosts(world.hosts, containers)).toEqual([]);
    expect(await unreachedByTcp(containers)).toEqual([]);
    const [first, second] = containers;
    if (first === undefined || second === undefined) throw new Error("no containers");
    for (const family of FAMILIES) expect(await refusesMore(first, second, MTU, family)).toBe(true);
  });

  it("has somebody outside whom nobody reaches who is not masqueraded", async () => {
    const [container] = world.host("a").containers;
    if (container === undefined) throw new Error("no container");
    expect(await Promise.all(FAMILIES.map((family) => seenOutside(container, family)))).toEqual([false, false]);
    await world.host("a").sh(`
      iptables -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE
      ip6tables -t nat -A POSTROUTING -s fd00:10:244::/48 ! -d fd00:10:244::/48 -j MASQUERADE`);
    for (const family of FAMILIES) expect(await seenOutside(container, family)).toBe(true);
  });

  it("counts what a cut costs", async () => {
    const [from] = world.host("a").containers;
    const [to] = world.host("e").containers;
    if (from === undefined || to === undefined) throw new Error("no containers");
    const quiet = await from.ping(to);
    await Bun.sleep(300);
    expect(await quiet.stop()).toMatchObject({ lost: 0 });
    const pinger = await from.ping(to, 6);
    await world.cut("e");
    await Bun.sleep(300);
    await world.mend("e");
    await Bun.sleep(300);
    const { lost, longest } = await pinger.stop();
    expect(lost).toBeGreaterThan(15);
    expect(longest).toBeLessThan(2000);
  });
});
