/**
 * CHECK: whether both directions are still shaped as the config says. Buckets and filters that others put elsewhere are
 * fine.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { redirectList } from "../../lib/netlink/filter.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import { isTbf, qdiscGet, type Tbf } from "../../lib/netlink/qdisc.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { checkFailed, previousResult } from "../../lib/plugin/check.ts";
import { openNamespaces } from "../../lib/plugin/netns.ts";
import { isUnlimited, parseConfig } from "./config.ts";
import { requireHostEnd } from "./hostend.ts";
import { ifbName, referenceIfbName } from "./plan.ts";

export async function check(call: PluginCall): Promise<void> {
  const limits = parseConfig(call);
  const result = previousResult(call);
  if (isUnlimited(limits)) return;
  using namespaces = openNamespaces(call.netns);
  const { host, container } = namespaces;
  const hostEnd = requireHostEnd(host, container, call.ifname, result);
  if (limits.ingress !== undefined) checkBucket(host, hostEnd, limits.ingress);
  if (limits.egress === undefined) return;
  const name = ifbName(call.attachment);
  const ifb = linkGet(host, name) ?? linkGet(host, referenceIfbName(call.attachment));
  if (ifb === undefined) throw checkFailed(`ifb ${name}, by which ${call.ifname} sends, is gone`);
  if (!ifb.up) throw checkFailed(`ifb ${ifb.name} is down, wanted up: ${call.ifname} cannot send`);
  checkBucket(host, ifb, limits.egress);
  if (qdiscGet(host, hostEnd.index, "ingress") === undefined) {
    throw checkFailed(`${hostEnd.name} has no ingress qdisc: what ${call.ifname} sends is not shaped`);
  }
  if (!redirectList(host, hostEnd.index).includes(ifb.index)) {
    throw checkFailed(`no filter of ${hostEnd.name} redirects to ${ifb.name}: what ${call.ifname} sends is not shaped`);
  }
}

function checkBucket(host: RtSocket, link: Link, wanted: Tbf): void {
  const there = qdiscGet(host, link.index, "root");
  if (there?.tbf === undefined) {
    throw checkFailed(`${link.name} has the queue ${there?.kind ?? "none"}, wanted tbf`);
  }
  const { rate, limit } = there.tbf;
  if (rate !== wanted.rate) {
    throw checkFailed(`tbf of ${link.name} has the rate ${rate * 8} bit/s, wanted ${wanted.rate * 8}`);
  }
  if (isTbf(there, wanted)) return;
  if (limit !== wanted.limit) {
    throw checkFailed(`tbf of ${link.name} has the limit ${limit} bytes, wanted ${wanted.limit}`);
  }
  throw checkFailed(`tbf of ${link.name} has another burst than the wanted ${wanted.burst * 8} bits`);
}
