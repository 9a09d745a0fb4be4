/**
 * The order of a service's endpoints: what a back end writes for an endpoint carries its index, so an endpoint that
 * stays has to keep it, and a change of one endpoint is then a change of one or two elements.
 *
 * @module
 */
import type { Endpoint } from "./types.ts";

/**
 * `wanted` in an order as near as can be to that of `before`: whoever stays keeps the index. A place that becomes
 * free is taken by a new one, in the order of `wanted`, else by the last. Neither list holds an address and port
 * twice. Where nothing changes `before` itself is returned, where `wanted` is in order already `wanted` itself.
 */
export function stableOrder<E extends Endpoint>(
  before: readonly Endpoint[] | undefined,
  wanted: readonly E[],
): readonly Endpoint[] {
  if (before === undefined || before.length === 0 || wanted.length === 0) return wanted;
  if (sameEndpoints(before, wanted)) return before;
  const fresh = new Map(wanted.map((endpoint) => [idOf(endpoint), endpoint]));
  const places: (Endpoint | undefined)[] = before.map((endpoint) => takeFrom(fresh, idOf(endpoint)));
  const newcomers = fresh.values();
  for (const [i, place] of places.entries()) {
    if (place === undefined) places[i] = newcomers.next().value;
  }
  const ordered = closed(places);
  ordered.push(...newcomers);
  if (sameEndpoints(before, ordered)) return before;
  return ordered.every((endpoint, i) => endpoint === wanted[i]) ? wanted : ordered;
}

/** Whether two lists hold the same in the same order. */
export function sameEndpoints(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  return a === b || (a.length === b.length && a.every((endpoint, i) => sameEndpoint(endpoint, b[i])));
}

function sameEndpoint(a: Endpoint, b: Endpoint | undefined): boolean {
  return a === b || (a.address === b?.address && a.port === b.port && a.local === b.local);
}

/** Without its gaps: the last one moves into the first gap, until there is none. */
function closed(places: readonly (Endpoint | undefined)[]): Endpoint[] {
  let end = places.length;
  const ordered: Endpoint[] = [];
  for (let i = 0; i < end; i++) {
    let place = places[i];
    while (place === undefined && i < --end) place = places[end];
    if (place !== undefined) ordered.push(place);
  }
  return ordered;
}

function takeFrom<E>(from: Map<string, E>, id: string): E | undefined {
  const taken = from.get(id);
  if (taken !== undefined) from.delete(id);
  return taken;
}

function idOf({ address, port }: Endpoint): string {
  return `${address} ${port}`;
}
