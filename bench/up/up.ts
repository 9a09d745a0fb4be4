/**
 * Standalone containers against what people have for them now: containers up and down against podman, the network of
 * one alone against netavark, and names against aardvark-dns and dnsmasq.
 *
 * A peer that is not on this machine costs its rows, which then keep no target; what is missing and how to install it
 * is said.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { messageOf } from "../../lib/errors.ts";
import { type Row, rowOf, type Series } from "../table.ts";
import { type AttachTimes, attachments } from "./attach.ts";
import { containers, type Times } from "./containers.ts";
import { type Asked, lookups, PEERS } from "./names.ts";
import { pathOf } from "./peers.ts";

export interface UpBench {
  /** Measured rounds of a kind for each side. */
  readonly rounds: number;
  /** Numbers of containers. */
  readonly sizes: readonly number[];
  /** Only what has this in its name; "" for all. */
  readonly only: string;
  /** Our executable, with `cni` beside it. */
  readonly ours: string;
}

/** Ours over the peer's. Of other numbers of containers none is asked. */
const RUN_TARGETS: ReadonlyMap<number, number> = new Map([
  [1, 0.2],
  [100, 0.15],
]);
const TARGETS = { setUp: 0.4, tearDown: 0.2, aardvark: 1, dnsmasq: 1.5 } as const;

/** Measures every row; says on stderr how far it is, and why a row does not count. */
export async function benchUp({ rounds, sizes, only, ours }: UpBench): Promise<readonly Row[]> {
  if (!existsSync(`${ours.slice(0, ours.lastIndexOf("/"))}/cni/tsnet`)) {
    throw new Error(`there is no ${ours} with its plugins: run npm run build first`);
  }
  const parts: readonly (readonly [name: string, part: () => Promise<readonly Row[]>])[] = [
    ...sizes.map((size) => [`${size} containers`, () => containerRows(size, roundsFor(size, rounds), ours)] as const),
    ...(["iptables", "nftables"] as const).map(
      (backend) => [`network ${backend}`, () => attachRows({ rounds, ours, backend })] as const,
    ),
    ["names", () => nameRows(rounds, ours)],
  ];
  const rows: Row[] = [];
  for (const [name, part] of parts.filter((one) => one[0].includes(only))) {
    console.error(`${name} ...`);
    rows.push(...(await part()));
  }
  return rows;
}

/** A hundred containers are their own average, and take podman half a minute. */
function roundsFor(size: number, rounds: number): number {
  return Math.max(1, Math.ceil(rounds / Math.max(1, size / 3)));
}

async function containerRows(size: number, rounds: number, ours: string): Promise<readonly Row[]> {
  const what = size === 1 ? "1 container with a published port" : `${size} containers with a published port each`;
  const { run, remove } = await counting<Times>(`${size} containers`, { run: none(), remove: none() }, () =>
    containers(size, rounds, ours),
  );
  return [
    rowOf(`${what}, up, peer: podman run -d`, run, RUN_TARGETS.get(size)),
    rowOf(`${what}, down, peer: podman rm -f`, remove),
  ];
}

async function attachRows(bench: {
  readonly rounds: number;
  readonly ours: string;
  readonly backend: "iptables" | "nftables";
}) {
  const { backend } = bench;
  const { setUp, tearDown } = await counting<AttachTimes>(
    `network ${backend}`,
    { setUp: none(), tearDown: none() },
    () => attachments(bench),
  );
  const name = (what: string) => `network alone, ${what}, ours by ${backend}, peer: netavark by iptables`;
  const isTarget = backend === "iptables";
  return [
    rowOf(name("set-up"), setUp, isTarget ? TARGETS.setUp : undefined),
    rowOf(name("tear-down"), tearDown, isTarget ? TARGETS.tearDown : undefined),
  ];
}

async function nameRows(rounds: number, ours: string): Promise<readonly Row[]> {
  const peers = PEERS.filter((name) => isThere(name));
  const times = await counting<ReadonlyMap<Asked, number[]>>("names", new Map(), () => lookups(rounds, ours, peers));
  const row = (peer: Asked, target: number): Row => ({
    ...rowOf(
      `look-up of a name, p50, peer: ${peer}`,
      { ours: times.get("ours") ?? [], peer: times.get(peer) ?? [] },
      target,
    ),
    unit: "µs",
  });
  return [row("aardvark-dns", TARGETS.aardvark), row("dnsmasq", TARGETS.dnsmasq)];
}

/** What `measure` comes to, or `nothing` where it fails, which is said. */
async function counting<T>(name: string, nothing: T, measure: () => Promise<T>): Promise<T> {
  try {
    return await measure();
  } catch (error) {
    console.error(`${name} does not count: ${messageOf(error)}`);
    return nothing;
  }
}

function isThere(name: (typeof PEERS)[number]): boolean {
  try {
    return pathOf(name) !== "";
  } catch (error) {
    console.error(messageOf(error));
    return false;
  }
}

function none(): Series {
  return { ours: [], peer: [] };
}
