/**
 * The same packets through the real kube-proxy and through ours, on a node each, at one API server: what a client
 * sees must be the same.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, tally } from "../e2e/proxy/prober.ts";
import type { World } from "../e2e/proxy/world.ts";
import { type Case, cases, objects } from "./alike-cases.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import type { Daemon } from "./daemon.ts";
import { Marker } from "./marker.ts";
import { addWorld, addWorldNode, MODES, type Mode, startProxy } from "./proxies.ts";

let cluster: Cluster;
let marker: Marker;
beforeAll(async () => {
  cluster = await startCluster();
  await addWorldNode(cluster);
  marker = await Marker.create(cluster);
  for (const object of objects()) await cluster.api.createWithStatus(object);
});
afterAll(async () => await cluster.stop());

test.each(MODES)("a client sees the same of both proxies in %s mode", async (mode) => {
  const [theirs, ours] = await Promise.all([addWorld(cluster, `${mode}-real-`), addWorld(cluster, `${mode}-ours-`)]);
  const all = cases(mode);
  const proxies = await Promise.all([
    startReal(theirs, mode, all),
    startProxy(cluster, { program: "tsnet", mode, world: ours }),
  ]);
  await marker.passed([theirs, ours], proxies);
  const [real, seen] = await Promise.all([look(theirs, all), look(ours, all)]);
  const suspects = all.filter((_, index) => real[index] !== seen[index]);
  console.log(`${all.length} cases in ${mode} mode: ${summary(real)}`);
  expect(await differences(theirs, ours, suspects)).toEqual([]);
  expect(all.length).toBeGreaterThan(200);
  for (const proxy of proxies) await proxy.stop();
  for (const world of [theirs, ours]) await world.prober.stop();
});

/**
 * On a busy machine kube-proxy may begin without its node's labels, and then passes over all zones for as long as it
 * runs: one that does is started anew, since that is not what is compared.
 */
async function startReal(world: World, mode: Mode, all: readonly Case[], tries = 3): Promise<Daemon> {
  const proxy = await startProxy(cluster, { program: "kube-proxy", mode, world });
  await marker.passed([world], [proxy]);
  const zoned = all.filter(({ name }) => name.startsWith("cluster-zoned cluster address TCP"));
  expect(zoned.length).toBeGreaterThan(0);
  const seen = await stare(world, zoned);
  if (tries === 1 || !seen.some((words) => words.includes("remote1"))) return proxy;
  await proxy.stop();
  return await startReal(world, mode, all, tries - 1);
}

/** What each case comes to: who answers, as whom he sees the client; or how it fails. */
async function look(world: World, all: readonly Case[]): Promise<readonly string[]> {
  const once = await ask(world, all, 1, 300);
  const answered = all.filter((_, index) => once[index]?.every((answer) => "server" in answer));
  const more = new Map(zip(answered, await ask(world, answered, 15, 1000)));
  return all.map((each, index) => inWords(each, more.get(each) ?? once[index] ?? []));
}

/**
 * Chance picks endpoints, and a busy machine may be late or lose a packet: what looks different is looked at for longer,
 * and up to three times.
 */
async function differences(
  theirs: World,
  ours: World,
  suspects: readonly Case[],
  times = 3,
): Promise<readonly string[]> {
  const [real, seen] = await Promise.all([stare(theirs, suspects), stare(ours, suspects)]);
  const still = suspects.filter((_, index) => real[index] !== seen[index]);
  if (times > 1 && still.length > 0) return await differences(theirs, ours, still, times - 1);
  return suspects.flatMap(({ name }, index) =>
    real[index] === seen[index] ? [] : [`${name}: kube-proxy ${real[index]}; ours ${seen[index]}`],
  );
}

async function stare(world: World, all: readonly Case[]): Promise<readonly string[]> {
  const answers = await ask(world, all, 100, 2000);
  return all.map((each, index) => inWords(each, answers[index] ?? []));
}

async function ask(
  { prober, netns }: World,
  all: readonly Case[],
  count: number,
  timeoutMs: number,
): Promise<readonly (readonly Answer[])[]> {
  const questions = all.map(({ client, question }) => ({ ...question, netns: netns(client), timeoutMs }));
  const answers = await prober.askAll(questions, count, 200);
  return all.map((_, index) => Array.from({ length: count }, (_, turn) => at(answers, turn * all.length + index)));
}

function at(answers: readonly Answer[], index: number): Answer {
  return answers[index] ?? { outcome: "not asked" };
}

function inWords({ sticky }: Case, answers: readonly Answer[]): string {
  const seen = [...tally(answers).keys()].sort();
  return sticky && answers.every((answer) => "server" in answer) ? `${seen.length} answer` : seen.join(", ");
}

function zip<A, B>(left: readonly A[], right: readonly B[]): readonly (readonly [A, B])[] {
  return left.flatMap((each, index) => {
    const other = right[index];
    return other === undefined ? [] : [[each, other] as const];
  });
}

function summary(seen: readonly string[]): string {
  const kinds = seen.map((each) => (each.includes(" as ") || each.includes("answer") ? "answered" : each));
  const counts = new Map<string, number>();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => `${count} ${kind}`).join(", ");
}
