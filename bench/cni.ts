/**
 * Our CNI plugins beside the reference plugins: the same lists in the same namespace, in turn, and after every
 * call a look at whether it did what it had to (state.ts, probe.ts). What a call takes is measured from outside,
 * from its process's start to its end (call.ts).
 *
 * @module
 */
import { messageOf } from "../lib/errors.ts";
import { exists, replaceFile } from "../lib/sys/files.ts";
import { openNetns } from "../lib/sys/netns.ts";
import { run } from "../lib/sys/run.ts";
import { addList, delList, type Side, timeProgram } from "./call.ts";
import { benchCrowd } from "./crowd.ts";
import { rowsOf, SCENARIOS, type Scenario } from "./scenario.ts";
import { asBefore, nothingRuns, readHost } from "./state.ts";
import { type Row, rowOf, type Series } from "./table.ts";
import { type Member, mustBeDown, mustBeUp, openEcho, openPorts } from "./verify.ts";
import { makeNetns, makeWorld, type World } from "./world.ts";

export interface CniBench extends Comparison {
  /** An empty directory on the machine's disk. */
  readonly disk: string;
}

/** Both sides and how often they are called. */
export interface Comparison {
  /** Measured rounds; each calls ADD and DEL once for each side. */
  readonly rounds: number;
  /** Only scenarios whose name contains this; "" for all. */
  readonly only: string;
  /** Our plugins. */
  readonly ours: string;
  /** The reference plugins. */
  readonly peers: string;
}

/** Measures every row; says on stderr how far it is, and why a row does not count. */
export async function benchCni(bench: CniBench): Promise<readonly Row[]> {
  const world = await makeWorld(bench.disk);
  const start = await startUp(sidesOf(bench), bench.rounds, bench.disk);
  return [...start, ...(await compare(world, SCENARIOS, bench))];
}

/** Measures `scenarios` on a host that was made for it. */
export async function compare(
  world: World,
  scenarios: readonly Scenario[],
  { rounds, only, ...where }: Comparison,
): Promise<readonly Row[]> {
  await openEcho(world);
  const members = await Promise.all(sidesOf(where).map((side) => makeMember(side)));
  const rows: Row[] = [];
  for (const scenario of scenarios.filter(({ name }) => `${name}:`.includes(only))) {
    console.error(`${scenario.name} ...`);
    rows.push(...(await measure(scenario, { world, members, rounds })));
  }
  return rows;
}

function sidesOf({ ours, peers }: Pick<Comparison, "ours" | "peers">): readonly Side[] {
  if (!exists(`${ours}/bridge`)) throw new Error(`${ours} has no plugins: run npm run build first`);
  return [
    { name: "ours", directory: ours, bridge: "ours0", network: "ours", prefix: "10.201.1" },
    { name: "peer", directory: peers, bridge: "peer0", network: "peer", prefix: "10.201.2" },
  ];
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

/** A scenario in which a check failed gives rows without numbers. */
async function measure(scenario: Scenario, turns: Turns): Promise<readonly Row[]> {
  const { world, members, rounds } = turns;
  try {
    // What a first call leaves for good, such as the bridge and the reference's chains, is there from then on.
    for (const member of members) await once(scenario, member, world);
    if (scenario.crowd === undefined) return await inTurns(scenario, turns);
    const sides = members.map(({ side }) => side);
    return await benchCrowd(scenario, { world, sides, rounds: Math.ceil(rounds / 5) });
  } catch (error) {
    console.error(`${scenario.name} does not count: ${messageOf(error)}`);
    for (const { side, container } of members) {
      await delList(side, scenario.list(side), { container, result: {} }).catch(() => {});
    }
    return rowsOf(scenario, { ours: [], peer: [] }, { ours: [], peer: [] });
  }
}

/** ADD and DEL of ours, then of the peer, and again. */
async function inTurns(scenario: Scenario, { world, members, rounds }: Turns): Promise<readonly Row[]> {
  const add: Series = { ours: [], peer: [] };
  const del: Series = { ours: [], peer: [] };
  for (let round = 0; round < rounds; round++) {
    for (const member of members) {
      const before = await readHost();
      const times = await once(scenario, member, world);
      asBefore(before, await readHost());
      add[member.side.name].push(times.add);
      del[member.side.name].push(times.del);
    }
  }
  return rowsOf(scenario, add, del);
}

async function once(scenario: Scenario, member: Member, world: World): Promise<{ add: number; del: number }> {
  const { side, container } = member;
  const list = scenario.list(side);
  const { result, ms } = await addList(side, list, container);
  nothingRuns();
  await mustBeUp(scenario, member, { world, result });
  const del = await delList(side, list, { container, result });
  nothingRuns();
  mustBeDown(member);
  return { add: ms, del };
}

// What a plugin may cost beyond the least that a program of this runtime can be.
const START_UP_TARGET = 1.3;
const TRIVIAL = 'require("node:fs").writeSync(1, "{}\\n"); process.exit(0);';

/** VERSION beside a trivial program that is compiled as ours is, and, for information, beside the peer's. */
async function startUp(sides: readonly Side[], rounds: number, disk: string): Promise<readonly Row[]> {
  const trivial = await compileTrivial(disk);
  const programs = [...sides.map(({ directory }) => `${directory}/bridge`), trivial];
  const times: number[][] = programs.map(() => []);
  for (let round = -1; round < rounds; round++) {
    for (const [index, program] of programs.entries()) {
      const { ms } = await timeProgram([program], { CNI_COMMAND: "VERSION" });
      if (round >= 0) times[index]?.push(ms);
    }
  }
  const [ours = [], peer = [], least = []] = times;
  return [
    rowOf("bridge: VERSION, beside a trivial program", { ours, peer: least }, START_UP_TARGET),
    rowOf("bridge: VERSION", { ours, peer }),
  ];
}

async function compileTrivial(disk: string): Promise<string> {
  const source = `${disk}/trivial.cjs`;
  const program = `${disk}/trivial`;
  replaceFile(source, TRIVIAL);
  const flags = ["--compile", "--minify", "--bytecode", "--format=cjs"];
  const { exitCode, stderr } = await run(process.execPath, ["build", source, ...flags, `--outfile=${program}`]);
  if (exitCode !== 0) throw new Error(`cannot compile the trivial program: ${stderr}`);
  return program;
}
