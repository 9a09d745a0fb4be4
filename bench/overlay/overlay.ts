/**
 * Our overlay against one made by hand with `ip`, against the plain underlay, and against flannel's figures.
 *
 * Throughput and round trips are measured in turns on two worlds that differ in nothing but who made the overlay. What
 * a change costs is measured from before the write to etcd until the kernel tells of the route. Flannel's module cannot
 * be built from what is served here: its figures (0.28.4, etcd, 1,000 peers) were measured apart, on another machine.
 *
 * @module
 */
import { median, type Row, rowOf } from "../table.ts";
import { loads } from "./load.ts";
import { changes, starts } from "./peers.ts";
import { type Side, traffic } from "./traffic.ts";

export interface OverlayBench {
  /** Measured rounds of a kind for each side. */
  readonly rounds: number;
  /** Numbers of peers at which a change is measured. */
  readonly sizes: readonly number[];
}

/** flannel 0.28.4: ms from its start to the last of 1,000 routes, and the most memory of its process in MB (10^6 bytes). */
const FLANNEL = { startMs: 640, peakMB: 47 } as const;
const PEERS = 1000;
const TARGETS = { handMade: 1.03, growth: 1.5, load: 1, start: 0.25, peakMB: 95 } as const;

const MEASURES = [
  ["gigabyte", "1 GB by TCP to a container of another host"],
  ["roundTrips", "1,000 round trips to it"],
] as const;

/** Measures every row; says on stderr how far it is. */
export async function benchOverlay({ rounds, sizes }: OverlayBench): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const say = (what: string) => console.error(`${what} ...`);
  say("traffic");
  rows.push(...trafficRows(await traffic(rounds)));
  say("changes");
  rows.push(...(await changeRows(sizes, rounds)));
  say(`${PEERS} leases in hand`);
  const loaded = await loads(PEERS, rounds);
  rows.push(
    rowOf(`${PEERS} leases in hand to the last entry, peer: ip -batch and bridge -batch`, loaded, TARGETS.load),
  );
  say(`start with ${PEERS} leases in etcd`);
  const started = await starts(PEERS, Math.min(rounds, 5));
  const flannel = [FLANNEL.startMs];
  rows.push(
    rowOf(
      `start to the last of ${PEERS} routes, peer: flannel 0.28.4`,
      { ours: started.times, peer: flannel },
      TARGETS.start,
    ),
    memoryRow(`peak memory at ${PEERS} peers, peer: flannel 0.28.4`, started.peaks, TARGETS.peakMB / FLANNEL.peakMB),
  );
  return rows;
}

function trafficRows(all: Awaited<ReturnType<typeof traffic>>): readonly Row[] {
  const rows = (ours: Side, what: string, peer: Side, target?: number) =>
    MEASURES.map(([key, name]) => rowOf(`${name}, ${what}`, { ours: all[ours][key], peer: all[peer][key] }, target));
  return [
    ...rows("ours", "peer: VXLAN by hand, with one rule for the outside", "handMade", TARGETS.handMade),
    ...rows("oursBare", "no rules, peer: VXLAN by hand", "handMadeBare", TARGETS.handMade),
    ...rows("ours", "peer: the plain underlay", "plain"),
  ];
}

/** A new lease at each size; and the largest over the smallest. */
async function changeRows(sizes: readonly number[], rounds: number): Promise<readonly Row[]> {
  const all = await changes(sizes, Math.max(rounds, 10));
  const rows = sizes.map((size) =>
    rowOf(`a new lease in etcd to its route, ${size} peers`, { ours: [...(all.get(size) ?? [])], peer: [] }),
  );
  const [small, large] = [Math.min(...sizes), Math.max(...sizes)];
  const growth = { ours: [...(all.get(large) ?? [])], peer: [...(all.get(small) ?? [])] };
  return [...rows, rowOf(`the same, ${large} peers over ${small}`, growth, TARGETS.growth)];
}

function memoryRow(name: string, peaks: readonly number[], target: number): Row {
  const ours = median(peaks);
  return { name, unit: "MB", ours, peer: FLANNEL.peakMB, ratio: ours === null ? null : ours / FLANNEL.peakMB, target };
}
