/**
 * Connection tracking in memory, for tests.
 *
 * @module
 */
import { type Conntrack, ensureFilter, type Flow } from "./conntrack.ts";
import { matchesFlow } from "./matching.ts";

/** A host that tracks `flows`. */
export function fakeConntrack(flows: readonly Flow[] = []): Conntrack {
  let tracked = flows;
  return {
    async deleteFlows(filter) {
      ensureFilter(filter);
      tracked = tracked.filter((flow) => !matchesFlow(flow, filter));
    },
    async deleteFlowsIf(filter, doomed) {
      ensureFilter(filter);
      const before = tracked.length;
      tracked = tracked.filter((flow) => !matchesFlow(flow, filter) || !doomed(flow));
      return before - tracked.length;
    },
    async listFlows(filter) {
      ensureFilter(filter);
      return tracked.filter((flow) => matchesFlow(flow, filter));
    },
  };
}
