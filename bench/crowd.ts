/**
 * Many containers at once: all their ADDs by so many workers, then all their DELs. The time is that of the whole
 * crowd.
 *
 * @module
 */
import { openNetns } from "../lib/sys/netns.ts";
import { type Attached, addList, delList, type Side } from "./call.ts";
import { rowsOf, type Scenario } from "./scenario.ts";
import { asBefore, nothingRuns, readHost } from "./state.ts";
import type { Row, Series } from "./table.ts";
import { addressOf, type Member, mustBeDown, mustBeUp } from "./verify.ts";
import { makeNetns, type World } from "./world.ts";

interface CrowdBench {
  readonly world: World;
  readonly sides: readonly Side[];
  readonly rounds: number;
}

interface Crowd {
  readonly scenario: Scenario;
  readonly world: World;
  readonly side: Side;
  readonly members: readonly Member[];
  readonly workers: number;
}

/** Both rows of a crowd, ours and the peer's in turn. */
export async function benchCrowd(scenario: Scenario, { world, sides, rounds }: CrowdBench): Promise<readonly Row[]> {
  const { containers, workers } = scenario.crowd ?? { containers: 0, workers: 0 };
  const paths = await Promise.all(Array.from({ length: containers }, (_, index) => makeNetns(`crowd${index}`)));
  const namespaces = paths.map((path) => openNetns(path));
  const add: Series = { ours: [], peer: [] };
  const del: Series = { ours: [], peer: [] };
  for (let round = 0; round < rounds; round++) {
    for (const side of sides) {
      const members = namespaces.map((netns, index) => ({
        side,
        netns,
        container: { id: `${side.name}-${index}`, netns: netns.path },
      }));
      const times = await comeAndGo({ scenario, world, side, members, workers });
      add[side.name].push(times.add);
      del[side.name].push(times.del);
    }
  }
  return rowsOf(scenario, add, del);
}

async function comeAndGo(crowd: Crowd): Promise<{ add: number; del: number }> {
  const { scenario, world, side, members } = crowd;
  const before = await readHost();
  const attached = new Map<Member, Attached>();
  const add = await byWorkers(crowd, async (member) => {
    attached.set(member, await addList(side, scenario.list(side, member.container), member.container));
  });
  nothingRuns();
  const addresses = new Set([...attached.values()].map(({ result }) => addressOf(result)));
  if (addresses.size !== members.length)
    throw new Error(`${side.name}: ${addresses.size} addresses for ${members.length}`);
  for (const [member, { result }] of attached) await mustBeUp(scenario, member, { world, result });
  const del = await byWorkers(crowd, async (member) => {
    const result = attached.get(member)?.result ?? {};
    await delList(side, scenario.list(side, member.container), { container: member.container, result });
  });
  nothingRuns();
  for (const member of members) mustBeDown(member);
  asBefore(before, await readHost());
  return { add, del };
}

/** Runs `work` for everyone, so many at a time, and returns the milliseconds that it took. */
async function byWorkers({ members, workers }: Crowd, work: (member: Member) => Promise<void>): Promise<number> {
  const queue = [...members];
  const start = performance.now();
  const worker = async () => {
    for (let member = queue.shift(); member !== undefined; member = queue.shift()) await work(member);
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return performance.now() - start;
}
