/**
 * Everything about one service: its object, its slices, and what was made of them.
 *
 * @module
 */

import type { ServiceObject } from "../objects/objects.ts";
import type { Endpoint } from "../table/types.ts";
import type { Claimant } from "./claims.ts";
import type { KeptSlice } from "./slices.ts";

export const NONE: readonly never[] = Object.freeze([]);

/** Services with a Local policy and nobody here to serve them; ports are counted, as kube-proxy does. */
export interface NoLocalEndpoints {
  readonly internal: number;
  readonly external: number;
}

export const ALL_LOCAL: NoLocalEndpoints = Object.freeze({ internal: 0, external: 0 });

export class Entry implements Claimant {
  readonly key: string;
  object: ServiceObject | undefined;
  /** Sorted by key. Slices may be there before their service. */
  slices: readonly KeptSlice[] = NONE;
  /** Frontend keys that it has or would like to have. */
  claims: readonly string[] = NONE;
  /** Those of its claims that another service, or another of its own ports, goes before it in. */
  lost: readonly string[] = NONE;
  noLocal: NoLocalEndpoints = ALL_LOCAL;
  /** By family and port, endpoints whose UDP flows may go on. Only services with UDP ports have any. */
  flows: ReadonlyMap<string, readonly Endpoint[]> | undefined;

  constructor(key: string) {
    this.key = key;
  }

  get createdAt(): number | undefined {
    return this.object?.createdAt;
  }

  get clusterIPs(): readonly string[] {
    return this.object?.clusterIPs ?? NONE;
  }

  /** Puts `kept` in the place of the slice of the same key, or takes that away. */
  setSlice(key: string, kept: KeptSlice | undefined): void {
    const others = this.slices.filter((slice) => slice.key !== key);
    if (kept !== undefined) others.push(kept);
    this.slices = others.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}
