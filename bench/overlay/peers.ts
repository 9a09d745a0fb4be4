/**
 * An agent and etcd with many leases in it: how long a new one takes to be a route, and how long all of them take from
 * the agent's start.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { EtcdPeers, leaseOf } from "../../test/e2e/overlay/etcd-peers.ts";
import type { OverlayHost } from "../../test/e2e/overlay/overlay-host.ts";
import { overlayWorld, type World } from "../../test/e2e/overlay/world.ts";
import { openMeter } from "../proxy/meter.ts";
import { now } from "../proxy/watcher.ts";
import { watchRoutes } from "./watcher.ts";
import { openWriter } from "./writer.ts";

const NETWORK = { Network: "10.128.0.0/9", SubnetLen: 24, Backend: { Type: "vxlan", VNI: 1 } };
/** Nobody is at these peers' addresses: a probe would only tell that. */
const FLAGS = ["--probe-period", "0"];
/** As flannel had it: checking a password alone costs etcd a tenth of a second. */
const PLAIN = { tls: false, user: false };
const PATIENCE_MS = 30_000;

/** Ms of each new lease, by how many peers were there. */
export async function changes(
  sizes: readonly number[],
  rounds: number,
): Promise<ReadonlyMap<number, readonly number[]>> {
  await using world = await overlayWorld(["a"]);
  await using peers = await EtcdPeers.start(world, FLAGS, PLAIN);
  await peers.network(NETWORK);
  const a = world.host("a");
  await a.start(peers.flags());
  const times = new Map<number, number[]>();
  let there = 0;
  using watcher = await watchRoutes(netnsOf(a));
  using client = await openWriter(peers.etcd);
  for (const size of [...sizes].sort((one, other) => one - other)) {
    await addLeases(peers, there, size);
    there = size;
    await a.ready(size);
    const measured: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      // What the last one has set off is done: its state is written.
      await Bun.sleep(600);
      const [key, value] = lease(EXTRA + round);
      const seen = watcher.seen(subnetOf(EXTRA + round), PATIENCE_MS);
      const start = now();
      await client.put(key, value);
      const at = await seen;
      if (at === undefined) throw new Error(`no route after ${PATIENCE_MS} ms`);
      if (round > 0) measured.push(at - start);
      await peers.etcd.delete(key);
    }
    times.set(size, measured);
  }
  return times;
}

/** Starts of an agent on a host that has nothing yet: ms to the last route, and peak memory of its process tree in MB. */
export async function starts(size: number, rounds: number): Promise<{ times: number[]; peaks: number[] }> {
  const [times, peaks]: [number[], number[]] = [[], []];
  for (let round = 0; round <= rounds; round++) {
    await using world = await overlayWorld(["a"]);
    await using peers = await EtcdPeers.start(world, FLAGS, PLAIN);
    await peers.network(NETWORK);
    await addLeases(peers, 0, size);
    const figures = await start(world, peers, size);
    // Whoever reads a program's file first is charged for it: that is nobody who is measured.
    if (round === 0) continue;
    times.push(figures.time);
    peaks.push(figures.peak);
  }
  return { times, peaks };
}

async function start(world: World, peers: EtcdPeers, size: number): Promise<{ time: number; peak: number }> {
  const a = world.host("a");
  using watcher = await watchRoutes(netnsOf(a));
  const meter = openMeter(`tsnet-bench-overlay-${process.pid}-${Math.round(now())}`);
  try {
    const all = watcher.count(size, PATIENCE_MS);
    const enter = `for door in ${meter.doors.join(" ")}; do echo 0 >$door; done; date +%s%N >/run/started; exec "$@"`;
    const offset = Date.now() - now();
    await a.start(peers.flags(), ["sh", "-ec", enter, "sh"]);
    const at = await all;
    if (at === undefined) throw new Error(`not ${size} routes after ${PATIENCE_MS} ms: ${await a.agent.tail()}`);
    const started = Number(a.read("/run/started")) / 1e6 - offset;
    await a.ready(size);
    // What is only used at the start has been, and the state is written.
    await Bun.sleep(1500);
    return { time: at - started, peak: meter.peak() };
  } finally {
    await a.agent.stop();
    while (readFileSync(meter.doors[0] ?? "", "utf8").trim() !== "") await Bun.sleep(10);
    meter.close();
  }
}

/** Leases of the hosts numbered `from` up to before `to`. */
async function addLeases(peers: EtcdPeers, from: number, to: number): Promise<void> {
  await peers.etcd.load(Array.from({ length: to - from }, (_, index) => lease(from + index)));
}

/** Far from those that stay. */
const EXTRA = 20_000;

function subnetOf(number: number): string {
  return `10.${130 + (number >> 8)}.${number & 255}.0`;
}

function lease(number: number): readonly [key: string, value: string] {
  const hex = number.toString(16).padStart(4, "0");
  const mac = `0a:00:00:00:${hex.slice(0, 2)}:${hex.slice(2)}`;
  return leaseOf([`${subnetOf(number)}/24`], { 4: `198.18.${number >> 8}.${number & 255}`, 6: "", mac });
}

function netnsOf(host: OverlayHost): string {
  return `/proc/${host.host.pid}/ns/net`;
}
