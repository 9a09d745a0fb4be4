/**
 * Which endpoints of a service port serve it on this node: conditions, topology hints and the two traffic policies.
 * Pure.
 *
 * @module
 */
import type { Endpoint } from "./table/types.ts";

/**
 * An endpoint as slices have it, and the very object that a table then holds: most endpoints are used as they are,
 * and with 200,000 of them a second object each would be felt.
 */
export interface Candidate extends Endpoint {
  readonly standing: Standing;
}

/** Everything about an endpoint but where it is. There are few distinct ones, so they are shared. */
export interface Standing {
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** Whether it has node hints, and whether one is for this node. */
  readonly nodes: "none" | "here" | "elsewhere";
  /** Zone hints; undefined if there are none. */
  readonly zones: readonly string[] | undefined;
}

/** Which policies a service port has a use for. */
export interface Uses {
  readonly cluster: boolean;
  readonly local: boolean;
}

export interface Chosen {
  readonly cluster: readonly Candidate[];
  readonly local: readonly Candidate[];
  /** Whether there is any in the cluster that can serve. */
  readonly served: boolean;
}

const NOBODY: readonly Candidate[] = Object.freeze([]);

/**
 * Those that serve, in the order of `candidates`. Each policy falls back on its own to endpoints that terminate and
 * still serve; topology decides only among ready ones, and only for the Cluster policy.
 */
export function chooseEndpoints(candidates: readonly Candidate[], uses: Uses, zone: string | undefined): Chosen {
  const ready = filtered(candidates, isReady);
  const cluster = ready.length > 0 ? ready : filtered(candidates, isLastResort);
  const here = uses.local ? filtered(candidates, isLocal) : NOBODY;
  const readyHere = filtered(here, isReady);
  return {
    cluster: uses.cluster ? nearest(cluster, ready.length > 0, zone) : NOBODY,
    local: readyHere.length > 0 ? readyHere : filtered(here, isLastResort),
    served: cluster.length > 0,
  };
}

/** Whether flows that it has may go on: those of UDP have no end that anybody would see. */
export function mayKeepFlows({ standing }: Candidate): boolean {
  return standing.ready || standing.serving;
}

function isReady({ standing }: Candidate): boolean {
  return standing.ready;
}

function isLastResort({ standing }: Candidate): boolean {
  return standing.serving && standing.terminating;
}

function isLocal({ local }: Candidate): boolean {
  return local;
}

/** Hints count only where every ready endpoint has them, as otherwise somebody is about to turn them on or off. */
function nearest(endpoints: readonly Candidate[], ready: boolean, zone: string | undefined): readonly Candidate[] {
  if (!ready) return endpoints;
  if (endpoints.every(({ standing }) => standing.nodes !== "none")) {
    const here = filtered(endpoints, ({ standing }) => standing.nodes === "here");
    if (here.length > 0) return here;
  }
  if (zone !== undefined && endpoints.every(({ standing }) => standing.zones !== undefined)) {
    const inZone = filtered(endpoints, ({ standing }) => standing.zones?.includes(zone) === true);
    if (inZone.length > 0) return inZone;
  }
  return endpoints;
}

/** The list itself where all pass, so that it is shared and not copied. */
function filtered(list: readonly Candidate[], keep: (candidate: Candidate) => boolean): readonly Candidate[] {
  if (list.every(keep)) return list;
  const kept = list.filter(keep);
  return kept.length === 0 ? NOBODY : kept;
}
