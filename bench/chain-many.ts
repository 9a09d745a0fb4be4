/**
 * What an ADD in one exec takes as the thousandth container on the host, beside the first one, and how much memory.
 *
 * @module
 */
import { type Attached, addList, type Container, collectAll, delList, type PluginConf, type Side } from "./call.ts";
import { oneExec } from "./chain-lists.ts";
import type { Comparison } from "./cni.ts";
import type { Backend } from "./scenario.ts";
import { type Row, rowOf } from "./table.ts";
import { makeNetns } from "./world.ts";

const MANY = 1000;
// The bench's machine has few processors, and adding is not what is measured.
const WORKERS = 4;
const MOST_BYTES = 40 * 1024 * 1024;

/** Rows for both back ends, and one for memory. */
export async function benchMany({ ours, rounds, only }: Comparison): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const peaks: number[] = [];
  for (const backend of ["iptables", "nftables"] as const) {
    const name = `the thousandth ADD in one exec by ${backend}, beside the first`;
    if (!name.includes(only)) continue;
    console.error(`${name} ...`);
    const { first, last, bytes } = await fill(await makeCrowd(ours, backend), rounds);
    rows.push(rowOf(name, { ours: last, peer: first }, 1.3));
    peaks.push(...bytes);
  }
  const mega = (bytes: number) => Number((bytes / 1024 / 1024).toFixed(1));
  const [peak, most] = [mega(Math.max(...peaks)), mega(MOST_BYTES)];
  if (peaks.length > 0)
    rows.push({
      name: "one exec: memory of an ADD, beside the most",
      unit: "MB",
      ours: peak,
      peer: most,
      ratio: peak / most,
      target: 1,
    });
  return rows;
}

interface Crowd {
  readonly side: Side;
  readonly container: (number: number) => Container;
  readonly list: (container: Container) => readonly PluginConf[];
}

/** Interfaces of one namespace, each as a container of its own. */
async function makeCrowd(ours: string, backend: Backend): Promise<Crowd> {
  const network = `many-${backend}`;
  const side = { name: "ours", directory: ours, bridge: `many${backend.length}`, network, prefix: "10.202.0" } as const;
  const netns = await makeNetns(network);
  return {
    side,
    container: (number) => ({ id: `many-${number}`, netns, ifname: `eth${number}` }),
    list: (container) => JSON.parse(JSON.stringify(oneExec(backend)(side, container)).replace(".0/24", ".0/20")),
  };
}

async function fill(crowd: Crowd, rounds: number) {
  const { side, container, list } = crowd;
  const add = async (number: number) => {
    const one = container(number);
    return { container: one, attached: await addList(side, list(one), one) };
  };
  const remove = ({ container: one, attached }: { container: Container; attached: Attached }) =>
    delList(side, list(one), { container: one, result: attached.result });
  const measure = async () => {
    const series: Attached[] = [];
    for (let round = 0; round < rounds; round++) {
      const added = await add(0);
      series.push(added.attached);
      await remove(added);
    }
    return series;
  };
  const numbers = Array.from({ length: MANY - 1 }, (_, at) => at + 1);
  // One stays in both cases: what the first of all makes once, such as the table, is not what is asked.
  await add(numbers.shift() ?? 1);
  const first = await measure();
  await each(numbers, async (number) => void (await add(number)));
  const last = await measure();
  for (const conf of list(container(0))) await collectAll(side, conf);
  const times = (series: readonly Attached[]) => series.map(({ ms }) => ms);
  return { first: times(first), last: times(last), bytes: [...first, ...last].map(({ bytes }) => bytes) };
}

async function each<T>(list: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const queue = [...list];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
}
