/**
 * Many containers at once: 60 ADDs by 16 workers, then 60 DELs, with masquerade. The time is that of the whole
 * crowd.
 *
 * @module
 */
import { openNetns } from "../lib/sys/netns.ts";
import { type Attached, addList, delList, type PluginConf, type Side } from "./call.ts";
import { bridge, type Scenario } from "./scenario.ts";
import { asBefore, nothingRuns, readHost } from "./state.ts";
import { type Row, rowOf } from "./table.ts";
import { addressOf, type Member, mustBeDown, mustBeUp } from "./verify.ts";
import { makeNetns, type World } from "./world.ts";

const CONTAINERS = 60;
const WORKERS = 16;
const SCENARIO: Scenario = {
  name: `${CONTAINERS} by ${WORKERS} workers, ipMasq by iptables`,
  list: bridge("iptables"),
  masquerade: "iptables",
  targets: { add: 0.5, del: 0.5 },
};

interface Crowd {
  readonly side: Side;
  readonly list: readonly PluginConf[];
  readonly members: readonly Member[];
}

/** Both rows of the crowd, ours and the peer's in turn. */
export async function benchCrowd(world: World, sides: readonly Side[], rounds: number): Promise<readonly Row[]> {
  console.error(`${SCENARIO.name}: ${rounds} rounds`);
  const paths = await Promise.all(Array.from({ length: CONTAINERS }, (_, index) => makeNetns(`crowd${index}`)));
  const namespaces = paths.map((path) => openNetns(path));
  const crowds = sides.map((side) => ({
    side,
    list: SCENARIO.list(side),
    members: namespaces.map((netns, index) => ({
      side,
      netns,
      container: { id: `${side.name}-${index}`, netns: netns.path },
    })),
  }));
  const add: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  const del: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  for (let round = 0; round < rounds; round++) {
    for (const crowd of crowds) {
      const times = await comeAndGo(world, crowd);
      add[crowd.side.name].push(times.add);
      del[crowd.side.name].push(times.del);
    }
  }
  return [
    rowOf({ name: `${SCENARIO.name}: ADDs`, ...add, target: SCENARIO.targets.add }),
    rowOf({ name: `${SCENARIO.name}: DELs`, ...del, target: SCENARIO.targets.del }),
  ];
}

async function comeAndGo(world: World, crowd: Crowd): Promise<{ add: number; del: number }> {
  const { side, list, members } = crowd;
  const before = await readHost();
  const attached = new Map<Member, Attached>();
  const add = await byWorkers(members, async (member) => {
    attached.set(member, await addList(side, list, member.container));
  });
  nothingRuns();
  const addresses = new Set([...attached.values()].map(({ result }) => addressOf(result)));
  if (addresses.size !== members.length)
    throw new Error(`${side.name}: ${addresses.size} addresses for ${members.length}`);
  for (const [member, { result }] of attached) await mustBeUp(SCENARIO, member, { world, result });
  const del = await byWorkers(members, async (member) => {
    const result = attached.get(member)?.result ?? {};
    await delList(side, list, { container: member.container, result });
  });
  nothingRuns();
  for (const member of members) mustBeDown(member);
  asBefore(before, await readHost());
  return { add, del };
}

/** Runs `work` for everyone, so many at a time, and returns the milliseconds that it took. */
async function byWorkers(members: readonly Member[], work: (member: Member) => Promise<void>): Promise<number> {
  const queue = [...members];
  const start = performance.now();
  const worker = async () => {
    for (let member = queue.shift(); member !== undefined; member = queue.shift()) await work(member);
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
  return performance.now() - start;
}
