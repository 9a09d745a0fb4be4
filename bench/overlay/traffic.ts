/**
 * What container to container across hosts costs: by our overlay, by one made by hand, and between the hosts themselves.
 *
 * @module
 */
import { overlayByHand } from "../../test/e2e/overlay/by-hand.ts";
import { networkOf, StaticPeers } from "../../test/e2e/overlay/peer-source.ts";
import { overlayWorld, PLACES, type World } from "../../test/e2e/overlay/world.ts";

const SECONDS = 3;
const PINGS = 300;

/** Of each round: ms for 10^9 bytes by one TCP connection, and ms for 1,000 pings one after the other. */
export interface Traffic {
  readonly gigabyte: number[];
  readonly roundTrips: number[];
}

export async function traffic(rounds: number): Promise<Record<"ours" | "handMade" | "plain", Traffic>> {
  await using mine = await overlayWorld(["a", "b"]);
  await using other = await overlayWorld(["a", "b"]);
  const peers = new StaticPeers(mine);
  await peers.network(networkOf());
  for (const host of mine.hosts) await peers.add(host);
  await Promise.all(mine.hosts.map((host) => host.start(peers.flags())));
  await Promise.all(mine.hosts.map((host) => host.ready(1)));
  await overlayByHand(other.hosts);
  await Promise.all([mine, other].flatMap(({ hosts }) => hosts.map((host) => host.attach("one"))));
  const figures = { ours: empty(), handMade: empty(), plain: empty() };
  const sides = [
    [figures.ours, mine, "one"],
    [figures.handMade, other, "one"],
    [figures.plain, other, ""],
  ] as const;
  await Promise.all(sides.map(([, world, netns]) => serve(world, netns)));
  // The first round is not measured.
  for (let round = 0; round <= rounds; round++) {
    // In turns also as to who comes first.
    for (const [side, world, netns] of round % 2 === 0 ? sides : sides.toReversed()) {
      const times = { gigabyte: await gigabyte(world, netns), roundTrips: await roundTrips(world, netns) };
      if (round === 0) continue;
      side.gigabyte.push(times.gigabyte);
      side.roundTrips.push(times.roundTrips);
    }
  }
  return figures;
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

async function roundTrips(world: World, netns: string): Promise<number> {
  const argv = ["ping", "-n", "-q", "-i", "0.002", "-c", String(PINGS), targetOf(world, netns)];
  const text = await world.host("a").host.ok(inside(netns, argv));
  const average = /rtt min\/avg\/max\/mdev = [\d.]+\/([\d.]+)\//.exec(text)?.[1];
  if (average === undefined) throw new Error(`ping told no times: ${text}`);
  return Number(average) * 1000;
}
