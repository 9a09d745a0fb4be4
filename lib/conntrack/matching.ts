/**
 * Whether a flow is one of those that somebody asked for.
 *
 * @module
 */
import { sameAddress } from "../net/address.ts";
import type { Flow, FlowFilter } from "./conntrack.ts";

/** Whether all of `wanted` holds for the flow. */
export function matchesFlow(flow: Flow, wanted: FlowFilter): boolean {
  return (
    flow.family === wanted.family &&
    (wanted.proto === undefined || flow.proto === wanted.proto) &&
    (wanted.dport === undefined || flow.orig.dport === wanted.dport) &&
    (wanted.origSrc === undefined || sameAddress(flow.orig.src, wanted.origSrc)) &&
    (wanted.origDst === undefined || sameAddress(flow.orig.dst, wanted.origDst)) &&
    (wanted.replySrc === undefined || sameAddress(flow.reply.src, wanted.replySrc)) &&
    (wanted.replyDst === undefined || sameAddress(flow.reply.dst, wanted.replyDst))
  );
}
