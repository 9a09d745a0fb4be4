/**
 * Slices as they are kept: by port, the endpoints in a fixed order, each once. What was only needed to find that out
 * (node names, hints for other nodes) is not kept, and an endpoint is the very object that goes into the table.
 *
 * @module
 */
import type { Candidate, Standing } from "../endpoints.ts";
import type { EndpointObject, Protocol, SliceObject } from "../objects/objects.ts";
import { Pool } from "./intern.ts";

/** What is kept of a slice. */
export interface KeptSlice {
  /** `namespace/name` of the slice. */
  readonly key: string;
  readonly family: 4 | 6;
  /** Names and protocols of its ports, as {@link portKey} has them. */
  readonly ports: readonly string[];
  /** The endpoints of each of `ports`, sorted by address and port, no two of the same. */
  readonly endpoints: readonly (readonly Candidate[])[];
}

/** What a slice's port and a service's have in common. */
export function portKey(port: { readonly name: string; readonly protocol: Protocol }): string {
  return `${port.name}/${port.protocol}`;
}

/** Makes {@link KeptSlice}s for one node; equal parts of them are shared. */
export class SliceKeeper {
  readonly #nodeName: string;
  readonly #ports = new Pool<readonly string[]>();
  readonly #standings = new Pool<Standing>();

  constructor(nodeName: string) {
    this.#nodeName = nodeName;
  }

  /** `slice` as it is kept: `earlier` itself if it says the same. */
  keep(key: string, slice: SliceObject, earlier: KeptSlice | undefined): KeptSlice {
    const names = [...new Set(slice.ports.map(portKey))];
    const ports = this.#ports.of(names.join(" "), names);
    const endpoints = ports.map((port, i) => {
      const known = sameTexts(earlier?.ports, ports) ? earlier?.endpoints[i] : undefined;
      return reusing(known ?? [], distinct(this.#candidates(slice, port)));
    });
    const same = earlier?.family === slice.family && sameTexts(earlier.ports, ports);
    if (same && endpoints.every((list, i) => list === earlier.endpoints[i])) return earlier;
    return { key, family: slice.family, ports, endpoints };
  }

  #candidates(slice: SliceObject, key: string): Candidate[] {
    const lists = slice.ports
      .filter((port) => portKey(port) === key)
      .map(({ port }) => slice.endpoints.map((endpoint) => this.#candidate(endpoint, port)));
    const [first = []] = lists;
    return lists.length < 2 ? first : lists.flat();
  }

  #candidate(endpoint: EndpointObject, port: number): Candidate {
    const local = endpoint.node !== undefined && endpoint.node === this.#nodeName;
    return { address: endpoint.address, port, local, standing: this.#standing(endpoint) };
  }

  #standing({ ready, serving, terminating, hintedNodes, hintedZones }: EndpointObject): Standing {
    const nodes = hintedNodes === undefined ? "none" : hintedNodes.includes(this.#nodeName) ? "here" : "elsewhere";
    const key = `${ready} ${serving} ${terminating} ${nodes} ${hintedZones?.join(" ") ?? "-"}`;
    return this.#standings.of(key, { ready, serving, terminating, nodes, zones: hintedZones });
  }
}

/** The endpoints of a port in all slices of a service and family: sorted, each address and port once. */
export function mergedEndpoints(slices: readonly KeptSlice[], family: 4 | 6, port: string): readonly Candidate[] {
  const lists: (readonly Candidate[])[] = [];
  for (const slice of slices) {
    const list = slice.family === family ? slice.endpoints[slice.ports.indexOf(port)] : undefined;
    if (list !== undefined && list.length > 0) lists.push(list);
  }
  const [first = []] = lists;
  return lists.length < 2 ? first : distinct(lists.flat());
}

/** Sorted by address and port; of those that are the same in both, the one that is to be believed. */
function distinct(candidates: Candidate[]): readonly Candidate[] {
  const sorted = candidates.sort((a, b) => comparePlaces(a, b) || compareCredit(a, b));
  const once = sorted.filter((each, i) => i === 0 || comparePlaces(each, sorted[i - 1] ?? each) !== 0);
  return once.length === sorted.length ? sorted : once;
}

/**
 * An endpoint stands twice while it moves from one slice to another, and when a pod has the address of one that is
 * going away: then the one that is not terminating is believed, and of two such the one on this node.
 */
function compareCredit(a: Candidate, b: Candidate): number {
  return (
    Number(a.standing.terminating) - Number(b.standing.terminating) ||
    Number(b.local) - Number(a.local) ||
    Number(b.standing.ready) - Number(a.standing.ready) ||
    Number(b.standing.serving) - Number(a.standing.serving)
  );
}

function comparePlaces(a: Candidate, b: Candidate): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port;
}

/** `fresh` with the objects of `known` where they say the same; `known` itself if all do. Both are sorted. */
function reusing(known: readonly Candidate[], fresh: readonly Candidate[]): readonly Candidate[] {
  if (known.length === 0) return fresh;
  let i = 0;
  const reused = fresh.map((candidate) => {
    let old = known[i];
    while (old !== undefined && comparePlaces(old, candidate) < 0) old = known[++i];
    if (old === undefined || comparePlaces(old, candidate) !== 0) return candidate;
    if (old.local === candidate.local && old.standing === candidate.standing) return old;
    return { ...candidate, address: old.address };
  });
  return reused.length === known.length && reused.every((each, j) => each === known[j]) ? known : reused;
}

function sameTexts(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a === b || (a?.length === b.length && a.every((text, i) => text === b[i]));
}
