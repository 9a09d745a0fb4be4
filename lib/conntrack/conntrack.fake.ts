/**
 * Connection tracking in memory, for tests.
 *
 * @module
 */
import { type Address, sameAddress } from "../net/address.ts";
import { type Conntrack, ensureFilter, type Flow, type FlowFilter } from "./conntrack.ts";

/** A host that tracks `flows`. */
export function fakeConntrack(flows: readonly Flow[] = []): Conntrack {
  let tracked = flows;
  return {
    async deleteFlows(filter) {
      ensureFilter(filter);
      tracked = tracked.filter((flow) => !matches(flow, filter));
    },
    async listFlows(filter) {
      ensureFilter(filter);
      return tracked.filter((flow) => matches(flow, filter));
    },
  };
}

function matches({ family, proto, orig, reply }: Flow, wanted: FlowFilter): boolean {
  const same = (address: Address, other: Address | undefined) => other === undefined || sameAddress(address, other);
  return (
    family === wanted.family &&
    (wanted.proto === undefined || proto === wanted.proto) &&
    (wanted.dport === undefined || orig.dport === wanted.dport) &&
    same(orig.src, wanted.origSrc) &&
    same(orig.dst, wanted.origDst) &&
    same(reply.src, wanted.replySrc) &&
    same(reply.dst, wanted.replyDst)
  );
}
