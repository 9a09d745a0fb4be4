/**
 * Notices at a glance that somebody took away what we committed: which rules there are, by the handles that the kernel
 * gave them, and how many elements each set has. Where a kernel does not tell that number, some elements are asked for
 * instead.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { isTsnetError } from "../../lib/errors.ts";
import { readElements, readRules, readSets } from "../../lib/nft/reading.ts";
import type { NfSocket } from "../../lib/sys/nfsocket.ts";
import type { PortRules } from "../table/types.ts";
import type { Committed } from "./committed.ts";
import { type Element, ServiceVisit } from "./elements.ts";
import { type ProxySet, tableOf } from "./sets.ts";
import { writeKey } from "./write.ts";

/** How a table looked when it was as it should be. */
export interface Glance {
  readonly rules: string;
  /** By set; affinity maps, which change by themselves, are not among them. */
  readonly counts: ReadonlyMap<string, number | undefined>;
}

// Others change their rules while ours are read.
const TRIES = 5;
// So many services are asked for where nothing is counted: a flush takes them all.
const SAMPLES = 4;

/** Looks at the table. `before` saves looking at rules that nobody had a reason to change. */
export function takeGlance(socket: NfSocket, { context }: Committed, before?: Glance): Glance {
  const at = tableOf(context.family);
  return {
    rules: before?.rules ?? readCalmly(socket, () => rulesOf(socket, context.family)),
    counts: readCalmly(socket, () => countsOf(socket, at)),
  };
}

/** Whether the table still looks so. */
export function looksSame(socket: NfSocket, committed: Committed, glance: Glance): boolean {
  const { family } = committed.context;
  const sameRules = (rules: string) => rules === glance.rules;
  if (!sameRules(readCalmly(socket, () => rulesOf(socket, family), sameRules))) return false;
  const sameCounts = (counts: Glance["counts"]) => isDeepStrictEqual(counts, glance.counts);
  const counts = readCalmly(socket, () => countsOf(socket, tableOf(family)), sameCounts);
  if (!sameCounts(counts)) return false;
  return [...counts.values()].some((count) => count !== undefined) || hasSamples(socket, committed);
}

/** What `read` finds, again where somebody changed rules meanwhile, unless it is what is wanted. */
function readCalmly<T>(socket: NfSocket, read: () => T, isWanted: (found: T) => boolean = () => false): T {
  for (let tries = 1; ; tries++) {
    const found = read();
    if (!socket.interrupted || isWanted(found) || tries === TRIES) return found;
  }
}

function rulesOf(socket: NfSocket, family: 4 | 6): string {
  let count = 0;
  let sum = 0n;
  for (const { handle } of readRules(socket, tableOf(family))) {
    count++;
    // Handles are given once: their sum and number tell two sets of rules apart, whatever their order.
    sum += handle * handle;
  }
  return `${count} ${sum}`;
}

function countsOf(socket: NfSocket, at: ReturnType<typeof tableOf>): ReadonlyMap<string, number | undefined> {
  const counts = new Map<string, number | undefined>();
  for (const { set, count } of readSets(socket, at)) if (!/^(?:local-)?affinity\//.test(set)) counts.set(set, count);
  return counts;
}

/** Whether elements of a few services are there. */
function hasSamples(socket: NfSocket, { table, context }: Committed): boolean {
  let samples = 0;
  for (const ports of table.services.values()) {
    if (samples++ === SAMPLES) return true;
    for (const element of elementsOf(ports, context)) if (!hasElement(socket, element.set, element)) return false;
  }
  return true;
}

function elementsOf(ports: readonly PortRules[], context: Committed["context"]): readonly Element[] {
  const elements: Element[] = [];
  new ServiceVisit(context, { element: (element) => void elements.push({ ...element }) }).visit(ports);
  // A range is not found by its first address alone.
  return elements.filter(({ set }) => set.flags === undefined);
}

function hasElement(socket: NfSocket, set: ProxySet, element: Element): boolean {
  try {
    for (const _ of readElements(socket, set, (writer) => writeKey(writer, element))) return true;
    return false;
  } catch (error) {
    if (isTsnetError(error, "not-found")) return false;
    throw error;
  }
}
