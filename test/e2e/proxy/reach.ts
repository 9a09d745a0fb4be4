/**
 * What packets show, in words that tests state: `local1,remote2 as itself` (these pods answer, and see the client's
 * own address), `local1 as node` (they see the node's), `refused`, `dropped`.
 *
 * @module
 */
import { type Answer, type Question, tally } from "./prober.ts";
import { ADDRESSES, type Family, GATEWAY, OUTSIDE, type Place, PODS, type World } from "./world.ts";

/** How long nothing has to come back until that is `dropped`. */
const DROPPED_MS = 600;
/** Questions at least, for those who ought not to answer; and at most, until all who ought to have answered. */
const LEAST = 12;
const MOST = 240;

const ALL = "local1,local2,remote1,remote2";
const SHORT: Readonly<Record<string, string>> = { all: ALL, here: "local1,local2", there: "remote1,remote2" };

/** `all as itself` with the pods' names. */
export function inFull(expected: string): string {
  return expected.replace(/^(all|here|there)\b/, (word) => SHORT[word] ?? word);
}

/** Asks until everybody of `expected` has answered, and tells in the same words what was seen. */
export async function reach(world: World, from: Place, question: Question, expected: string): Promise<string> {
  const netns = world.netns(from);
  const [servers = ""] = inFull(expected).split(" as ");
  if (!expected.includes(" as ")) {
    const timeoutMs = expected === "dropped" ? DROPPED_MS : undefined;
    const asked = { ...question, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    return inWords(from, question, await world.prober.askOften(netns, asked, 2));
  }
  const answers: Answer[] = [];
  while (answers.length < MOST) {
    answers.push(...(await world.prober.askOften(netns, question, LEAST)));
    const seen = new Set(answers.map((answer) => ("server" in answer ? answer.server : answer.outcome)));
    if (servers.split(",").every((server) => seen.has(server)) || !answers.some((answer) => "server" in answer)) break;
  }
  return inWords(from, question, answers);
}

function inWords(from: Place, question: Question, answers: readonly Answer[]): string {
  const family = question.address.includes(":") ? 6 : 4;
  const names = [...tally(answers, (answer) => ("server" in answer ? answer.server : answer.outcome)).keys()];
  const order: readonly string[] = [...PODS, "node", "peer"];
  names.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  const sources = new Set(answers.flatMap((answer) => sourceOf(from, family, answer)));
  return sources.size === 0 ? names.join(",") : `${names.join(",")} as ${[...sources].join(",")}`;
}

/** Who the server thinks it was. A pod that reached itself has to look like the node, whatever holds for others. */
function sourceOf(from: Place, family: Family, answer: Answer): readonly string[] {
  if (!("server" in answer)) return [];
  const node = answer.server.startsWith("local") ? GATEWAY[family] : ADDRESSES.node[family];
  if (answer.server === "node" && from === "node") return ["itself"];
  if (answer.server === from) return answer.source === node ? [] : [`${answer.source}, though it is itself`];
  if (answer.source === node) return ["node"];
  const own = from === "node" ? [OUTSIDE[family], ADDRESSES.node[family], GATEWAY[family]] : [ADDRESSES[from][family]];
  return [own.includes(answer.source) ? "itself" : answer.source];
}
