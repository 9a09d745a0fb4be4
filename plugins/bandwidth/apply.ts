/**
 * From the plan to the kernel: a bucket on the host's end, an ifb with a bucket and the way there.
 *
 * @module
 */
import type { CniInterface } from "../../lib/cni/types.ts";
import { hasErrno, TsnetError } from "../../lib/errors.ts";
import { warn } from "../../lib/log.ts";
import { redirectAdd } from "../../lib/netlink/filter.ts";
import { type Link, linkAdd, linkDel, linkGet, linkSet } from "../../lib/netlink/link.ts";
import { ingressAdd, qdiscDel, tbfAdd } from "../../lib/netlink/qdisc.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import type { Undo } from "../../lib/undo.ts";
import type { IfbSpec, Plan } from "./plan.ts";

// Before an Ethernet frame's payload; what a bucket counts.
const ETH_HLEN = 14;

/** Makes what the plan says, and returns the interfaces that came with it. `undo` is told of each step. */
export function applyShaping(host: RtSocket, { hostEnd, ingress, egress }: Plan, undo: Undo): readonly CniInterface[] {
  for (const [direction, tbf] of [
    ["ingress", ingress],
    ["egress", egress?.tbf],
  ] as const) {
    if (tbf !== undefined && tbf.burst < hostEnd.mtu + ETH_HLEN) {
      warn(
        `${direction}Burst is ${tbf.burst} bytes, less than a packet of ${hostEnd.name}'s MTU ${hostEnd.mtu}: larger ones are dropped`,
      );
    }
  }
  if (ingress !== undefined) {
    tbfAdd(host, hostEnd, ingress);
    undo.add(`the queue of ${hostEnd.name}`, () => void qdiscDel(host, hostEnd.index, "root"));
  }
  if (egress === undefined) return [];
  // Before the ifb: it fails where an earlier ADD's stands, whose ifb is in use then.
  ingressAdd(host, hostEnd);
  undo.add(`the ingress qdisc of ${hostEnd.name}`, () => void qdiscDel(host, hostEnd.index, "ingress"));
  const ifb = createIfb(host, egress.ifb, undo);
  // While it is down, and nobody has to be waited for.
  tbfAdd(host, ifb, egress.tbf);
  linkSet(host, ifb.index, { up: true, alias: egress.ifb.alias, group: 0 });
  redirectAdd(host, hostEnd, ifb.index);
  return [{ name: ifb.name, mac: ifb.mac }];
}

function createIfb(host: RtSocket, { name, mtu, group }: IfbSpec, undo: Undo): Link {
  const create = () => linkAdd(host, { name, kind: { kind: "ifb" }, mtu, group, txQueueLength: 0 });
  try {
    create();
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
    // One that an earlier ADD of the same attachment left, to which no DEL came.
    linkDel(host, name);
    create();
  }
  undo.add(`link ${name}`, () => void linkDel(host, name));
  const link = linkGet(host, name);
  if (link === undefined) {
    throw new TsnetError(`link ${name} is gone as soon as it was made: somebody deleted it`, {
      code: "not-found",
      op: "bandwidth",
    });
  }
  return link;
}
