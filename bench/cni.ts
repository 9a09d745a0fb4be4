/**
 * Our CNI plugins beside the reference plugins: the same lists in the same namespace, in turn, and after every
 * call a look at whether it did what it had to (state.ts, probe.ts). What a call takes is measured from outside,
 * from its process's start to its end (call.ts).
 *
 * @module
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { openNetns } from "../lib/sys/netns.ts";
import { type Attached, addList, delList, type Side, timeProgram } from "./call.ts";
import { benchCrowd } from "./crowd.ts";
import { bridge, type Scenario, withPorts } from "./scenario.ts";
import { asBefore, nothingRuns, readHost } from "./state.ts";
import { type Row, rowOf } from "./table.ts";
import { type Member, mustBeDown, mustBeUp, openEcho, openPorts } from "./verify.ts";
import { makeNetns, makeWorld, type World } from "./world.ts";

export interface CniBench {
  /** Measured rounds; each calls ADD and DEL once for each side. */
  readonly rounds: number;
  /** The reference plugins. */
  readonly peers: string;
  /** An empty directory on the machine's disk. */
  readonly disk: string;
}

const OURS = process.env.BENCH_OURS ?? resolve(import.meta.dirname, "../dist/cni");

const SCENARIOS: readonly Scenario[] = [
  { name: "bridge", list: bridge(), targets: { add: 1.0, del: 0.8 } },
  {
    name: "bridge, ipMasq by iptables",
    list: bridge("iptables"),
    masquerade: "iptables",
    targets: { add: 0.55, del: 0.4 },
  },
  {
    name: "bridge, ipMasq by nftables",
    list: bridge("nftables"),
    masquerade: "nftables",
    targets: { add: 0.4, del: 0.45 },
  },
  {
    name: "bridge and portmap, 2 ports, iptables",
    list: withPorts("iptables"),
    masquerade: "iptables",
    published: true,
    targets: { add: 0.3, del: 0.3 },
  },
  {
    name: "bridge and portmap, 2 ports, nftables",
    list: withPorts("nftables"),
    masquerade: "nftables",
    published: true,
    targets: { add: 0.3, del: 0.3 },
  },
];

/** Measures every row; says on stderr how far it is. */
export async function benchCni({ rounds, peers, disk }: CniBench): Promise<readonly Row[]> {
  if (!existsSync(`${OURS}/bridge`)) throw new Error(`${OURS} has no plugins: run npm run build first`);
  const world = await makeWorld(disk);
  await openEcho(world);
  const sides: readonly Side[] = [
    { name: "ours", directory: OURS, bridge: "ours0", network: "ours", prefix: "10.201.1" },
    { name: "peer", directory: peers, bridge: "peer0", network: "peer", prefix: "10.201.2" },
  ];
  const members = await Promise.all(sides.map((side) => makeMember(side)));
  const rows: Row[] = [await startUp(sides, rounds)];
  for (const scenario of SCENARIOS) rows.push(...(await inTurns(scenario, { world, members, rounds })));
  rows.push(...(await benchCrowd(world, sides, Math.ceil(rounds / 5))));
  return rows;
}

/** One container a side stays through all rounds: its namespace is the caller's, not the plugins'. */
async function makeMember(side: Side): Promise<Member> {
  const path = await makeNetns(side.name);
  const member = { side, container: { id: `${side.name}-container`, netns: path }, netns: openNetns(path) };
  await openPorts(member);
  return member;
}

interface Turns {
  readonly world: World;
  readonly members: readonly Member[];
  readonly rounds: number;
}

/** ADD and DEL of ours, then of the peer, and again; the first round warms up and is not counted. */
async function inTurns(scenario: Scenario, { world, members, rounds }: Turns): Promise<readonly Row[]> {
  console.error(`${scenario.name}: ${rounds} rounds`);
  const add: Times = { ours: [], peer: [] };
  const del: Times = { ours: [], peer: [] };
  for (let round = -1; round < rounds; round++) {
    for (const member of members) {
      const { name } = member.side;
      const times = await once(scenario, member, { world, compare: round >= 0 });
      if (round < 0) continue;
      add[name].push(times.add);
      del[name].push(times.del);
    }
  }
  return [
    rowOf({ name: `${scenario.name}: ADD`, ...add, target: scenario.targets.add }),
    rowOf({ name: `${scenario.name}: DEL`, ...del, target: scenario.targets.del }),
  ];
}

interface Times {
  readonly ours: number[];
  readonly peer: number[];
}

async function once(scenario: Scenario, member: Member, { world, compare }: { world: World; compare: boolean }) {
  const { side, container } = member;
  const list = scenario.list(side);
  const before = await readHost();
  const attached: Attached = await addList(side, list, container);
  nothingRuns();
  await mustBeUp(scenario, member, { world, result: attached.result });
  const del = await delList(side, list, { container, result: attached.result });
  nothingRuns();
  mustBeDown(member);
  // What a first call leaves for good, such as the bridge and the reference's chains, is there from then on.
  if (compare) asBefore(before, await readHost());
  return { add: attached.ms, del };
}

/** For information: what starting a plugin costs, and what measuring costs. */
async function startUp(sides: readonly Side[], rounds: number): Promise<Row> {
  const times: Times = { ours: [], peer: [] };
  for (let round = -1; round < rounds; round++) {
    for (const { name, directory } of sides) {
      const { ms } = await timeProgram([`${directory}/bridge`], { CNI_COMMAND: "VERSION" });
      if (round >= 0) times[name].push(ms);
    }
  }
  return rowOf({ name: "bridge: VERSION", ...times });
}
