/**
 * Hosts that join, leave, move, are cut off and are started anew, on any source of peers: those who have nothing to do
 * with it feel nothing.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../standalone.ts";
import type { OverlayHost } from "./overlay-host.ts";
import { networkOf, type PeerSource } from "./peer-source.ts";
import { only, reachedAfter, unfelt, type Ways } from "./unfelt.ts";
import { addressing, FAMILIES, overlayWorld, PLACES, type World } from "./world.ts";

const FOUR = ["a", "b", "c", "d"] as const;
const NEW_PLACE = { link: "west", 4: "192.0.2.33", 6: "fd50:1::33" } as const;

export function changeCases(source: PeerSource["kind"], open: (world: World) => Promise<PeerSource>): void {
  describe(`changes on ${source}`, () => {
    let world: World;
    let peers: PeerSource;
    beforeAll(async () => {
      world = await overlayWorld();
      peers = await open(world);
      await peers.network(networkOf());
      const four = FOUR.map((name) => world.host(name));
      for (const host of four) await peers.add(host);
      await Promise.all(four.map((host) => host.start(peers.flags(host))));
      await Promise.all(four.map((host) => host.ready(3)));
      await Promise.all(four.map((host) => host.attach(`${host.name}1`)));
    });
    afterAll(async () => {
      await peers?.[Symbol.asyncDispose]();
      await world?.destroy();
    });
    const container = (name: OverlayHost["name"]) => only(world.host(name).containers);
    const others = (): Ways => [
      [container("a"), container("b"), 4],
      [container("a"), container("d"), 6],
      [container("d"), container("b"), 4],
    ];
    const heard = (names: readonly OverlayHost["name"][], count: number) =>
      Promise.all(
        names.map((name) => world.host(name).until(`${count} peers`, (state) => state.peers.length === count)),
      );

    it("a host joins and is reached within 2 s", async () => {
      const e = world.host("e");
      await unfelt(others(), async () => {
        await peers.add(e);
        const start = performance.now();
        await e.start(peers.flags(e));
        await e.ready(4);
        const ready = Math.round(performance.now() - start);
        const joined = await e.attach("e1");
        for (const family of FAMILIES) await reachedAfter(container("a"), joined, family, 2000);
        const reached = Math.round(performance.now() - start);
        console.log(
          `${source}: a new host is ready after ${ready} ms, its first container reached after ${reached} ms`,
        );
        expect(reached).toBeLessThan(2000);
      });
      await heard(FOUR, 4);
    });

    it("row 16: a host leaves, and nothing of it stays with the others", async () => {
      const e = world.host("e");
      const subnets = e.state()?.subnets ?? [];
      expect(subnets).toHaveLength(2);
      await unfelt(others(), async () => {
        await e.detach("e1");
        expect(await e.cleanup(peers.flags(e))).toMatchObject({ exitCode: 0 });
        await peers.remove(e);
        await heard(FOUR, 3);
      });
      for (const name of FOUR) {
        for (const subnet of subnets) expect(await entriesOf(world.host(name))).not.toContain(subnet.split("/")[0]);
      }
    });

    it("a host changes its address, and its containers keep theirs", async () => {
      const c = world.host("c");
      await unfelt(others(), async () => {
        await c.sh(`${addressing(NEW_PLACE)}
          ip addr del ${PLACES.c[4]}/24 dev eth0; ip addr del ${PLACES.c[6]}/64 dev eth0
          ${addressing(NEW_PLACE)}`);
        c.place = NEW_PLACE;
        await peers.add(c);
        for (const family of FAMILIES) await reachedAfter(container("a"), container("c"), family, 10_000);
        for (const family of FAMILIES) await reachedAfter(container("c"), container("d"), family, 10_000);
      });
      const seen = await world
        .host("d")
        .until("the new addresses", ({ peers }) => peers.some(({ addresses }) => addresses.includes(NEW_PLACE[4])));
      const addresses = seen.peers.find(({ host }) => host === "c" || host === NEW_PLACE[4])?.addresses;
      expect(addresses).toEqual([NEW_PLACE[4], NEW_PLACE[6]]);
    });

    it("the agent is killed and started again, and nobody feels it, not even its own containers", async () => {
      const a = world.host("a");
      await unfelt([...others(), [container("c"), container("a"), 4]], async () => {
        await a.agent.stop("KILL");
        await Bun.sleep(300);
        await a.start(peers.flags(a));
        await a.ready(3);
        await a.agent.stop("TERM");
        await Bun.sleep(100);
        await a.start(peers.flags(a));
        await a.ready(3);
      });
    });

    it("row 16: what is left of a host that left while the agent was down goes at its start", async () => {
      const [a, c] = [world.host("a"), world.host("c")];
      const [subnet = ""] = c.state()?.subnets ?? [];
      await a.agent.stop("KILL");
      await c.cleanup(peers.flags(c));
      await peers.remove(c);
      await heard(["b", "d"], 2);
      expect(await entriesOf(a)).toContain(subnet.split("/")[0]);
      await unfelt(others(), async () => {
        await a.start(peers.flags(a));
        await a.ready(2);
        await eventually(async () => !(await entriesOf(a)).includes(subnet.split("/")[0] ?? ""), "the entries to go");
      });
    });

    it("the link of a host goes and comes, and so does the whole interface", async () => {
      const b = world.host("b");
      const spared: Ways = [[container("a"), container("d"), 6]];
      await unfelt(spared, async () => {
        await world.unplug("b");
        await Bun.sleep(300);
        await world.plug("b");
        for (const family of FAMILIES) await reachedAfter(container("b"), container("d"), family, 5000);
        await b.sh("ip link set eth0 down");
        await Bun.sleep(300);
        await b.sh(addressing(b.place));
        for (const family of FAMILIES) await reachedAfter(container("b"), container("d"), family, 5000);
        for (const family of FAMILIES) await reachedAfter(container("a"), container("b"), family, 5000);
      });
    });
  });
}

/** All that a host has for its peers. */
async function entriesOf(host: OverlayHost): Promise<string> {
  return await host.sh("ip route; ip -6 route; ip neigh; ip -6 neigh; bridge fdb");
}
