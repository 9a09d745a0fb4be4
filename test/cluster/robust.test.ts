/**
 * What happens to a proxy: killed at any moment, its rules flushed, its API server gone.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Svc } from "../e2e/proxy/manifests.ts";
import { type Question, shortly, tally } from "../e2e/proxy/prober.ts";
import type { Pod, World } from "../e2e/proxy/world.ts";
import { eventually } from "../e2e/standalone.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import type { Daemon } from "./daemon.ts";
import { inAnyOrder, rulesOf } from "./dump.ts";
import { eachOf, generator } from "./load.ts";
import { Marker } from "./marker.ts";
import { endpointOf, FAMILIES, service, slice } from "./objects.ts";
import { addWorld, addWorldNode, MODES, type Mode, startProxy } from "./proxies.ts";
import { manifestsOf } from "./teller.ts";

const STEADY = { 4: "10.96.9.1", 6: "fd00:10:96::9:1" } as const;
const MOVING = { 4: "10.96.9.2", 6: "fd00:10:96::9:2" } as const;
const GOING = { 4: "10.96.9.3", 6: "fd00:10:96::9:3" } as const;
const PORTS = [{ port: 80 }];
/** Enough for a restore to take a while. */
const MANY = 200;

let cluster: Cluster;
let marker: Marker;
beforeAll(async () => {
  cluster = await startCluster();
  await addWorldNode(cluster);
  marker = await Marker.create(cluster);
  for (const [name, { 4: ipv4, 6: ipv6 }] of Object.entries({ steady: STEADY, moving: MOVING })) {
    await add(name, [ipv4, ipv6]);
  }
  const many = Array.from({ length: MANY }, (_, index) => index);
  await eachOf(many, async (n) => {
    for (const object of manifestsOf(crowded(n))) await cluster.api.createWithStatus(object);
  });
});
afterAll(async () => await cluster.stop());

describe.each(MODES)("in %s mode", (mode) => {
  test("50 kills at random moments cost no connection, and leave what a fresh start puts in place (row 13)", async () => {
    const world = await addWorld(cluster, `${mode}-kill-`);
    const seed = Math.floor(Math.random() * 2 ** 31);
    console.log(`${mode} mode, seed of the kills: ${seed}`);
    const random = generator(seed);
    await (await begin(world, mode)).stop();
    const open = await Promise.all(
      FAMILIES.map((family) => world.prober.open(world.netns("local2"), ask(STEADY[family]))),
    );
    for (let kill = 0; kill < 50; kill++) {
      const proxy = await startProxy(cluster, { program: "tsnet", mode, world });
      await moveAbout(random, random() * 500);
      await killTree(proxy, random() < 0.5);
      for (const connection of open) expect(await connection.say("still here")).toBe("still here");
      for (const family of FAMILIES) {
        const answers = await world.prober.askOften(world.netns("external"), ask(STEADY[family]), 5);
        expect([...tally(answers, (answer) => ("server" in answer ? answer.server : shortly(answer)))]).toEqual([
          ["local1", 5],
        ]);
      }
    }
    await asFresh(await begin(world, mode), world, mode);
  });

  test("rules that somebody flushed are back within two seconds (row 15)", async () => {
    const world = await addWorld(cluster, `${mode}-flush-`);
    const proxy = await begin(world, mode);
    const before = await rulesOf(world);
    for (const flush of FLUSHES[mode]) {
      await world.sh("node", flush);
      for (const family of FAMILIES) {
        // Of a connection begun meanwhile the kernel keeps that it is led nowhere: each try is a new one.
        const question = { ...ask(STEADY[family]), timeoutMs: 50 };
        const answer = await world.prober.askUntilAnswered(world.netns("local2"), question, 2000);
        const told = "server" in answer ? "" : await proxy.tail();
        expect([flush, shortly(answer)], told).toEqual([flush, expect.stringMatching("local1 as")]);
      }
      await eventually(async () => (await rulesOf(world)).join("\n") === before.join("\n"), `all is back: ${flush}`);
    }
    await proxy.stop();
    await world.prober.stop();
  });
});

const FLUSHES: Readonly<Record<Mode, readonly string[]>> = {
  nftables: ["nft flush ruleset", "nft delete table ip tsnet-proxy; nft delete table ip6 tsnet-proxy"],
  iptables: ["nft flush ruleset", "for ip in iptables ip6tables; do $ip -t nat -F; $ip -t nat -X; done"],
};

test("an API server that is gone for a minute while endpoints change is caught up with, 410 included", async () => {
  const worlds = await Promise.all(MODES.map((mode) => addWorld(cluster, `${mode}-gone-`)));
  await add("going", [GOING[4], GOING[6]]);
  const proxies = await Promise.all(worlds.map((world, index) => begin(world, MODES[index] ?? "nftables")));
  await cluster.cut("reject");
  const back = performance.now() + 60_000;
  await move("remote2");
  for (const object of ofService("going")) await cluster.api.delete(object);
  await add("coming", ["10.96.9.4", "fd00:10:96::9:4"]);
  for (const world of worlds) {
    for (const family of FAMILIES) {
      expect(await who(world, MOVING[family])).not.toBe("remote2");
      expect(await who(world, GOING[family])).toBe("local1");
      expect(await who(world, STEADY[family])).toBe("local1");
    }
  }
  await cluster.stopApi();
  await cluster.compact();
  await cluster.startApi();
  await eventually(async () => performance.now() > back, "a minute is over", 70_000);
  await cluster.mend();
  await marker.passed(worlds, proxies);
  for (const world of worlds) {
    for (const family of FAMILIES) expect(await who(world, MOVING[family])).toBe("remote2");
    expect(await who(world, "10.96.9.4")).toBe("local1");
    expect(await who(world, GOING[4])).not.toBe("local1");
  }
  for (const object of ofService("coming")) await cluster.api.delete(object);
  for (const proxy of proxies) await proxy.stop();
  for (const world of worlds) await world.prober.stop();
});

test("an API server that freezes with its connections open is caught up with", async () => {
  const worlds = await Promise.all(MODES.map((mode) => addWorld(cluster, `${mode}-ice-`)));
  const proxies = await Promise.all(worlds.map((world, index) => begin(world, MODES[index] ?? "nftables")));
  await cluster.freezeApi();
  for (const world of worlds) expect(await who(world, STEADY[4])).toBe("local1");
  await cluster.thawApi();
  await move("remote1");
  await marker.passed(worlds, proxies);
  for (const world of worlds) expect(await who(world, MOVING[4])).toBe("remote1");
  for (const proxy of proxies) await proxy.stop();
  for (const world of worlds) await world.prober.stop();
});

function ask(address: string): Question {
  return { protocol: "tcp", address, port: 80, timeoutMs: 2000 };
}

async function who(world: World, address: string): Promise<string> {
  const answer = await world.prober.ask(world.netns("node"), { ...ask(address), timeoutMs: 2000 });
  return "server" in answer ? answer.server : shortly(answer);
}

async function begin(world: World, mode: Mode): Promise<Daemon> {
  const proxy = await startProxy(cluster, { program: "tsnet", mode, world });
  await marker.passed([world], [proxy]);
  return proxy;
}

/** Compares with a node that never had a proxy, and ends both. */
async function asFresh(proxy: Daemon, world: World, mode: Mode): Promise<void> {
  const fresh = await addWorld(cluster, `${mode}-fresh-`);
  const other = await begin(fresh, mode);
  await marker.passed([world, fresh], [proxy, other]);
  const wanted = inAnyOrder(await rulesOf(fresh));
  const now = async () => inAnyOrder(await rulesOf(world));
  await eventually(async () => (await now()).join("\n") === wanted.join("\n"), "swept").catch(() => {});
  expect(await now()).toEqual(wanted);
  for (const each of [proxy, other]) await each.stop();
  for (const each of [world, fresh]) await each.prober.stop();
}

/** Changes endpoints of one service after the other for `ms`. */
async function moveAbout(random: () => number, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const n = Math.floor(random() * MANY);
    const [, ...slices] = manifestsOf(crowded(n, 1 + Math.floor(random() * 6)));
    for (const each of slices) await cluster.api.replace(each);
  }
}

/** Kills a proxy, with or without the programs that it has started. */
async function killTree(proxy: Daemon, withChildren: boolean): Promise<void> {
  const { pid } = proxy;
  await cluster.host.run(["sh", "-c", withChildren ? `kill -9 ${pid} $(pgrep -P ${pid})` : `kill -9 ${pid}`]);
  await proxy.stop();
}

function crowded(n: number, endpoints = 4): Svc {
  return {
    name: `crowd-${n}`,
    n: n + 1,
    ports: [{ nodePort: 31000 + n }],
    ...(n % 10 === 0 ? { affinitySeconds: 600 } : {}),
    ...(n % 7 === 0 ? { external: "Local" } : {}),
    endpoints: Array.from({ length: endpoints }, (_, index) => ({ pod: 1 + ((n + index * 7) % 250) })),
  };
}

async function add(name: string, addresses: readonly string[]): Promise<void> {
  await cluster.api.create(service(name, addresses, PORTS));
  for (const family of FAMILIES) await cluster.api.create(slice(name, family, [{ pod: "local1" }], PORTS));
}

function ofService(name: string) {
  return [service(name, [], PORTS), ...FAMILIES.map((family) => slice(name, family, [], PORTS))];
}

async function move(pod: Pod): Promise<void> {
  for (const family of FAMILIES) {
    await cluster.api.patch(slice("moving", family, [], []), { endpoints: [endpointOf({ pod }, family)] });
  }
}
