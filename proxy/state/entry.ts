/**
 * What is known of one service: its object and its slices, either of which may come first.
 *
 * @module
 */
import type { ServiceBody } from "../objects/objects.ts";
import type { Claimant } from "./claims.ts";
import type { KeptSlice } from "./slices.ts";

const NONE: readonly never[] = Object.freeze([]);

export class Entry implements Claimant {
  readonly key: string;
  object: ServiceBody | undefined;
  /** Sorted by key. */
  slices: readonly KeptSlice[] = NONE;

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
    const slices = kept === undefined ? others : [...others, kept];
    this.slices = slices.length === 0 ? NONE : slices.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}
