/**
 * An agent and etcd with many leases in it: how long a new one takes to be a route, and how long all of them take from
 * the agent's start.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { EtcdPeers, PREFIX } from "../../test/e2e/overlay/etcd-peers.ts";
import type { OverlayHost } from "../../test/e2e/overlay/overlay-host.ts";
import { overlayWorld, type World } from "../../test/e2e/overlay/world.ts";
import { openMeter } from "../proxy/meter.ts";
import { now } from "../proxy/watcher.ts";
import { watchRoutes } from "./watcher.ts";
import { openWriter } from "./writer.ts";

const NETWORK = { Network: "10.128.0.0/9", SubnetLen: 24, Backend: { Type: "vxlan", VNI: 1 } };
/** Nobody is at these peers' addresses: a probe would only tell that. */
const FLAGS = ["--probe-period", "0"];
const PATIENCE_MS = 30_000;
// etcd takes 128 operations a transaction.
const AT_ONCE = 100;

/** Ms of each new lease, by how many peers were there. */
export async function changes(
  sizes: readonly number[],
  rounds: number,
): Promise<ReadonlyMap<number, readonly number[]>> {
  await using world = await overlayWorld(["a"]);
  await using etcd = await EtcdPeers.start(world, FLAGS);
  await etcd.network(NETWORK);
  const a = world.host("a");
  await a.start(etcd.flags());
  const times = new Map<number, number[]>();
  let there = 0;
  using watcher = await watchRoutes(netnsOf(a));
  using client = await openWriter(world.hub);
  for (const size of [...sizes].sort((one, other) => one - other)) {
    await addLeases(etcd, there, size);
    there = size;
    await a.ready(size);
    const measured: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      // What the last one has set off is done: its state is written.
      await Bun.sleep(600);
      const [key, value] = leaseOf(EXTRA + round);
      const seen = watcher.seen(subnetOf(EXTRA + round), PATIENCE_MS);
      const start = now();
      await client.put(key, value);
      const at = await seen;
      if (at === undefined) throw new Error(`no route after ${PATIENCE_MS} ms`);
      if (round > 0) measured.push(at - start);
      await etcd.ctl("del", key);
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
    await using etcd = await EtcdPeers.start(world, FLAGS);
    await etcd.network(NETWORK);
    await addLeases(etcd, 0, size);
    const figures = await start(world, etcd, size);
    // Whoever reads a program's file first is charged for it: that is nobody who is measured.
    if (round === 0) continue;
    times.push(figures.time);
    peaks.push(figures.peak);
  }
  return { times, peaks };
}

async function start(world: World, etcd: EtcdPeers, size: number): Promise<{ time: number; peak: number }> {
  const a = world.host("a");
  using watcher = await watchRoutes(netnsOf(a));
  const meter = openMeter(`tsnet-bench-overlay-${process.pid}-${Math.round(now())}`);
  try {
    const all = watcher.count(size, PATIENCE_MS);
    const enter = `for door in ${meter.doors.join(" ")}; do echo 0 >$door; done; date +%s%N >/run/started; exec "$@"`;
    const offset = Date.now() - now();
    await a.start(etcd.flags(), ["sh", "-ec", enter, "sh"]);
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
async function addLeases(etcd: EtcdPeers, from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, to - first) }, (_, index) => first + index);
    const puts = numbers.map((number) => {
      const [key, value] = leaseOf(number);
      return `put ${key} ${JSON.stringify(value)}`;
    });
    // No conditions, these operations, none otherwise.
    await etcd.transaction(`\n${puts.join("\n")}\n\n\n`);
  }
}

/** Far from those that stay. */
const EXTRA = 20_000;

function subnetOf(number: number): string {
  return `10.${130 + (number >> 8)}.${number & 255}.0`;
}

function leaseOf(number: number): readonly [key: string, value: string] {
  const hex = number.toString(16).padStart(4, "0");
  const mac = `0a:00:00:00:${hex.slice(0, 2)}:${hex.slice(2)}`;
  const address = `198.18.${number >> 8}.${number & 255}`;
  const value = { PublicIP: address, BackendType: "vxlan", BackendData: { VNI: 1, VtepMAC: mac } };
  return [`${PREFIX}/subnets/${subnetOf(number)}-24`, JSON.stringify(value)];
}

function netnsOf(host: OverlayHost): string {
  return `/proc/${host.host.pid}/ns/net`;
}
