/**
 * What container to container across hosts costs: by our overlay, by one made by hand, and between the hosts themselves.
 *
 * A rule of any kind in a packet filter has the kernel track connections, which costs more than all that overlays
 * differ in. So there are two pairs: ours as it is beside one made by hand with the one rule that lets its containers
 * out, and both without any rules.
 *
 * @module
 */
import { overlayByHand } from "../../test/e2e/overlay/by-hand.ts";
import { networkOf, StaticPeers } from "../../test/e2e/overlay/peer-source.ts";
import { overlayWorld, PLACES, type World } from "../../test/e2e/overlay/world.ts";

const SECONDS = 2;
const PINGS = 10_000;
const NO_RULES = ["--ip-masq=false", "--iptables-forward-rules=false"];
const MASQUERADE = "iptables -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE";

/** Of each round: ms for 10^9 bytes by one TCP connection, and ms for 1,000 pings one after the other. */
export interface Traffic {
  readonly gigabyte: number[];
  readonly roundTrips: number[];
}
export type Side = "ours" | "handMade" | "oursBare" | "handMadeBare" | "plain";

export async function traffic(rounds: number): Promise<Readonly<Record<Side, Traffic>>> {
  await using ours = await byAgent([]);
  await using handMade = await byHand(MASQUERADE);
  await using oursBare = await byAgent(NO_RULES);
  await using handMadeBare = await byHand("true");
  const figures = { ours: empty(), handMade: empty(), oursBare: empty(), handMadeBare: empty(), plain: empty() };
  const sides = [
    [figures.ours, ours, "one"],
    [figures.handMade, handMade, "one"],
    [figures.oursBare, oursBare, "one"],
    [figures.handMadeBare, handMadeBare, "one"],
    [figures.plain, handMadeBare, ""],
  ] as const;
  await Promise.all(sides.map(([, world, netns]) => serve(world, netns)));
  // The first round is not measured. What is compared is measured one right after the other, and in turns also as to
  // who comes first.
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? sides : sides.toReversed();
    for (const [side, world, netns] of order) {
      const ms = await gigabyte(world, netns);
      if (round > 0) side.gigabyte.push(ms);
    }
    for (const [side, world, netns] of order) {
      const ms = await roundTrips(world, netns);
      if (round > 0) side.roundTrips.push(ms);
    }
  }
  return figures;
}

async function byAgent(flags: readonly string[]): Promise<World> {
  const world = await overlayWorld(["a", "b"]);
  const peers = new StaticPeers(world);
  await peers.network(networkOf());
  for (const host of world.hosts) await peers.add(host);
  await Promise.all(world.hosts.map((host) => host.start([...peers.flags(), ...flags])));
  await Promise.all(world.hosts.map((host) => host.ready(1)));
  return await withContainers(world);
}

async function byHand(rule: string): Promise<World> {
  const world = await overlayWorld(["a", "b"]);
  await overlayByHand(world.hosts);
  await Promise.all(world.hosts.map((host) => host.sh(rule)));
  return await withContainers(world);
}

async function withContainers(world: World): Promise<World> {
  await Promise.all(world.hosts.map((host) => host.attach("one")));
  return world;
}

function empty(): Traffic {
  return { gigabyte: [], roundTrips: [] };
}

function inside(netns: string, argv: readonly string[]): readonly string[] {
  return netns === "" ? argv : ["ip", "netns", "exec", netns, ...argv];
}

function targetOf(world: World, netns: string): string {
  return netns === "" ? PLACES.b[4] : (world.host("b").containers[0]?.address(4) ?? "");
}

async function serve(world: World, netns: string): Promise<void> {
  const { host } = world.host("b");
  host.spawn(inside(netns, ["iperf3", "-s"]));
  await host.ok(inside(netns, ["sh", "-c", "until ss -Hltn 'sport = :5201' | grep -q .; do sleep 0.05; done"]));
}

async function gigabyte(world: World, netns: string): Promise<number> {
  const argv = ["iperf3", "-c", targetOf(world, netns), "-t", String(SECONDS), "-O", "1", "-J"];
  const { end } = JSON.parse(await world.host("a").host.ok(inside(netns, argv)));
  const bitsPerSecond: unknown = end?.sum_received?.bits_per_second;
  if (typeof bitsPerSecond !== "number" || bitsPerSecond <= 0) throw new Error("iperf3 told no throughput");
  return 8e12 / bitsPerSecond;
}

/** A flood: the next ping is sent as soon as the last one is answered. */
async function roundTrips(world: World, netns: string): Promise<number> {
  const argv = ["ping", "-n", "-q", "-f", "-c", String(PINGS), targetOf(world, netns)];
  const text = await world.host("a").host.ok(inside(netns, argv));
  const ms = / 0% packet loss, time (\d+)ms/.exec(text)?.[1];
  if (ms === undefined) throw new Error(`pings were lost: ${text}`);
  return (Number(ms) / PINGS) * 1000;
}
