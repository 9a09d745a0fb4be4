/**
 * Our kube-proxy beside the real one: the same API server, the same objects, one after the other on a fresh node.
 *
 * Start is measured from outside: until connections pass to 20 services drawn at random and to the last one. A change
 * is measured from before the request to the API server until the new address is in the packet filter, as its own
 * events tell (watcher.ts). CPU and memory are those of the whole process tree (meter.ts): memory without the pages of
 * the program's own file, which the machine holds once whoever runs it; the resident row has those, too.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import { type Cluster, startCluster } from "../../test/cluster/cluster.ts";
import { median, type Row } from "../table.ts";
import { makePods } from "./node.ts";
import { addService, growTo, removeService, replaceFirst, type Service, scale } from "./services.ts";
import { type Mode, type Program, type Running, startProxy } from "./side.ts";
import { FRESH, now, type Watcher, watchFilter } from "./watcher.ts";

export interface ProxyBench {
  readonly sizes: readonly number[];
  readonly modes: readonly Mode[];
  /** Sizes at which ours runs alone. */
  readonly alone: readonly number[];
  /** Changes that are measured, fewer where one takes long. */
  readonly changes: number;
  /** Our executable. */
  readonly ours: string;
}

/** What one run of one side gave; undefined where it was not measured. */
interface Figures {
  readonly start: number;
  readonly change: readonly number[];
  readonly cpu: number;
  readonly peak: number;
  readonly resident: number;
  readonly connect: { readonly first: number; readonly last: number };
  readonly scaled: readonly number[];
  readonly added: readonly number[];
}

const RANDOM_SERVICES = 20;
const DIALS = 200;
const START_MS = 900_000;
const CHANGE_MS = 60_000;
// kube-proxy does not write twice within a second (minSyncPeriod): a change that comes sooner would measure that.
const APART_MS = 1200;
/** A side's changes are measured for so long at most. */
const CHANGES_MS = 60_000;

// Ours over kube-proxy at 10,000 services, and at 100.
const TARGETS: Readonly<Record<string, Readonly<Record<Mode, number>>>> = {
  "10000 start": { nftables: 0.08, iptables: 0.03 },
  "10000 change": { nftables: 0.008, iptables: 0.05 },
  "10000 cpu": { nftables: 0.01, iptables: 0.05 },
  "10000 peak": { nftables: 0.45, iptables: 0.7 },
  "100 change": { nftables: 0.8, iptables: 0.8 },
  "100 peak": { nftables: 1.3, iptables: 1.3 },
};
const CONNECT_TARGET = 1.5;
const GROWTH_TARGETS = { change: 1.5, scaled: 2, added: 6 } as const;

/** Measures every row; says on stderr how far it is. */
export async function benchProxy({ sizes, modes, alone, changes, ours }: ProxyBench): Promise<readonly Row[]> {
  await using cluster = await startCluster();
  await makePods(cluster);
  const sides: readonly Program[] = [
    { name: "ours", path: ours, args: [] },
    { name: "peer", path: cluster.programs.proxy, args: [] },
  ];
  // Whoever reads a program's file first is charged for it: that is nobody who is measured.
  for (const { path } of sides) await Bun.file(path).bytes();
  const services: Service[] = [];
  const all = new Map<string, Figures>();
  const rows: Row[] = [];
  for (const size of [...new Set([...sizes, ...alone])].sort((a, b) => a - b)) {
    console.error(`${size} services: creating ...`);
    await growTo(cluster.api, services, size);
    for (const mode of modes) {
      const figures: Partial<Record<Program["name"], Figures>> = {};
      for (const program of sides.filter(({ name }) => name === "ours" || sizes.includes(size))) {
        console.error(`${size} services, ${mode}, ${program.name} ...`);
        const got = await measure({ cluster, program, mode, services, changes }).catch((error: unknown) => {
          console.error(`  does not count: ${messageOf(error)}`);
        });
        if (got === undefined) continue;
        figures[program.name] = got;
        all.set(`${program.name} ${mode} ${size}`, got);
        console.error(`  ${summary(got)}`);
      }
      rows.push(...rowsOf(size, mode, figures));
    }
  }
  return [...rows, ...growth(all, Math.max(...sizes, ...alone))];
}

interface Measured {
  readonly cluster: Cluster;
  readonly program: Program;
  readonly mode: Mode;
  readonly services: readonly Service[];
  readonly changes: number;
}

async function measure({ cluster, program, mode, services, changes }: Measured): Promise<Figures> {
  const last = services.at(-1);
  const first = services[0];
  if (last === undefined || first === undefined) throw new Error("no services");
  const reachable = [...Array.from({ length: RANDOM_SERVICES }, () => random(services)), last];
  const running = await startProxy({ cluster, program, mode, reachable, patienceMs: START_MS });
  try {
    const watcher = await watchFilter(running.node.path);
    try {
      const { times: change, cpu } = await changesOf({ cluster, running, watcher, services, changes });
      const scaled = await scalings({ cluster, running, watcher, services, changes });
      const added = await additions({ cluster, running, watcher, services, changes });
      const connect = { first: await latency(running, first), last: await latency(running, last) };
      return {
        start: running.startMs,
        change,
        cpu,
        peak: running.meter.peak(),
        resident: running.resident(),
        connect,
        scaled,
        added,
      };
    } finally {
      watcher.close();
    }
  } finally {
    await running.stop();
  }
}

interface Changing {
  readonly cluster: Cluster;
  readonly running: Running;
  readonly watcher: Watcher;
  readonly services: readonly Service[];
  readonly changes: number;
}

/** One endpoint replaced, again and again, each time of another service. */
async function changesOf({ cluster, running, watcher, services, changes }: Changing) {
  const times: number[] = [];
  // The first is not measured: it may still wait for what came with the start.
  await timeOf(watcher, (address) => replaceFirst(cluster.api, random(services), address));
  await settled(running);
  const before = running.meter.cpu();
  const begin = now();
  while (times.length < changes && now() - begin < CHANGES_MS) {
    times.push(await timeOf(watcher, (address) => replaceFirst(cluster.api, random(services), address)));
  }
  await settled(running);
  return { times, cpu: (running.meter.cpu() - before) / times.length };
}

/** An endpoint more; taking it away again is not measured. */
async function scalings({ cluster, watcher, services, changes }: Changing): Promise<readonly number[]> {
  const times: number[] = [];
  const begin = now();
  while (times.length < changes && now() - begin < CHANGES_MS / 2) {
    const service = random(services);
    times.push(await timeOf(watcher, (address) => scale(cluster.api, service, 1, address)));
    await Bun.sleep(APART_MS);
    await scale(cluster.api, service, -1);
  }
  return times;
}

/** A service more, with one endpoint. */
async function additions({ cluster, watcher, changes }: Changing): Promise<readonly number[]> {
  const times: number[] = [];
  const begin = now();
  while (times.length < changes && now() - begin < CHANGES_MS / 2) {
    let service: Service | undefined;
    times.push(
      await timeOf(watcher, async (address) => {
        service = await addService(cluster.api, `added-${times.length}`, [address]);
      }),
    );
    await Bun.sleep(APART_MS);
    if (service !== undefined) await removeService(cluster.api, service);
  }
  return times;
}

async function timeOf(watcher: Watcher, change: (address: string) => Promise<void>): Promise<number> {
  await Bun.sleep(APART_MS);
  const address = freshAddress();
  const seen = watcher.seen(address, CHANGE_MS);
  const start = now();
  await change(address);
  const at = await seen;
  if (at === undefined) throw new Error(`${address} was not programmed within ${CHANGE_MS} ms`);
  return at - start;
}

/** Waits until it uses no CPU to speak of: what a change has set off is done. */
async function settled({ meter }: Running): Promise<void> {
  for (let before = meter.cpu(); ; ) {
    await Bun.sleep(500);
    const after = meter.cpu();
    if (after - before < 10) return;
    before = after;
  }
}

async function latency({ node }: Running, service: Service): Promise<number> {
  const times: number[] = [];
  for (let dial = 0; dial < DIALS; dial++) {
    const time = await node.dial(service.address, 1000);
    if (time !== undefined) times.push(time);
  }
  if (times.length < DIALS / 2) throw new Error(`${service.name} answered ${times.length} of ${DIALS} connections`);
  return median(times) ?? 0;
}

let fresh = 0;

function freshAddress(): string {
  fresh += 1;
  return `${FRESH.first}.${FRESH.second + (fresh >> 16)}.${(fresh >> 8) & 255}.${fresh & 255}`;
}

function random<T>(list: readonly T[]): T {
  const one = list[Math.floor(Math.random() * list.length)];
  if (one === undefined) throw new Error("nothing to choose from");
  return one;
}

function rowsOf(size: number, mode: Mode, { ours, peer }: Partial<Record<Program["name"], Figures>>): readonly Row[] {
  const row = (what: string, unit: Row["unit"], of: (figures: Figures) => number | null, target = ""): Row => {
    const [a, b] = [ours, peer].map((figures) => (figures === undefined ? null : of(figures)));
    const ratio = a == null || b == null ? null : a / b;
    const wanted = peer === undefined && a !== null ? null : (TARGETS[`${size} ${target}`]?.[mode] ?? null);
    return { name: `${mode}, ${size}: ${what}`, unit, ours: a ?? null, peer: b ?? null, ratio, target: wanted };
  };
  return [
    row("start until connections pass", "ms", ({ start }) => start, "start"),
    row("one endpoint replaced, p50", "ms", ({ change }) => median(change), "change"),
    row("one endpoint replaced, p99", "ms", ({ change }) => percentile(change, 0.99)),
    row("one endpoint more, p50", "ms", ({ scaled }) => median(scaled)),
    row("one service more, p50", "ms", ({ added }) => median(added)),
    row("CPU a change", "ms", ({ cpu }) => cpu, "cpu"),
    row("peak memory of the process tree", "MB", ({ peak }) => peak, "peak"),
    row("peak resident memory of its own process", "MB", ({ resident }) => resident),
    row("a new connection, first service", "ms", ({ connect }) => connect.first),
    row("a new connection, last service", "ms", ({ connect }) => connect.last),
    ...(ours === undefined
      ? []
      : [
          {
            name: `${mode}, ${size}: a new connection, ours, last service over first`,
            unit: "ms" as const,
            ours: ours.connect.last,
            peer: ours.connect.first,
            ratio: ours.connect.last / ours.connect.first,
            target: CONNECT_TARGET,
          },
        ]),
  ];
}

/** Ours at the largest size over ours at the smallest: what one change costs may not grow with what is there. */
function growth(all: ReadonlyMap<string, Figures>, largest: number): readonly Row[] {
  const [small, large] = [all.get("ours nftables 100"), all.get(`ours nftables ${largest}`)];
  if (small === undefined || large === undefined || largest === 100) return [];
  const row = (what: string, of: (figures: Figures) => readonly number[], target: number): Row => {
    const [a, b] = [median(of(large)), median(of(small))];
    const ratio = a === null || b === null ? null : a / b;
    const counts = largest >= 50_000 ? target : null;
    return {
      name: `nftables, ours at ${largest} over 100: ${what}`,
      unit: "ms",
      ours: a,
      peer: b,
      ratio,
      target: counts,
    };
  };
  return [
    row("one endpoint replaced", ({ change }) => change, GROWTH_TARGETS.change),
    row("one endpoint more", ({ scaled }) => scaled, GROWTH_TARGETS.scaled),
    row("one service more", ({ added }) => added, GROWTH_TARGETS.added),
  ];
}

function percentile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}

function summary({ start, change, cpu, peak }: Figures): string {
  const p50 = median(change) ?? 0;
  return `start ${start.toFixed(0)} ms, change ${p50.toFixed(1)} ms (${change.length}), CPU ${cpu.toFixed(1)} ms, peak ${peak.toFixed(0)} MB`;
}
