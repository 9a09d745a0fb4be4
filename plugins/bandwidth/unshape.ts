/**
 * The host's end of a veth as it was before it was shaped.
 *
 * @module
 */
import { isFiltered, redirectList } from "../../lib/netlink/filter.ts";
import type { Link } from "../../lib/netlink/link.ts";
import { qdiscDel, qdiscGet } from "../../lib/netlink/qdisc.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";

/** Takes the bucket off a veth that is the attachment's; nothing else of a chain puts one there. */
export function unshape(host: RtSocket, hostEnd: Link): void {
  if (qdiscGet(host, hostEnd.index, "root")?.kind === "tbf") qdiscDel(host, hostEnd.index, "root");
  // Another kind is somebody else's, with whatever is in it (clsact).
  if (qdiscGet(host, hostEnd.index, "ingress")?.kind !== "ingress") return;
  // Of an ADD that was killed before its filter was there; or the ifb is gone, and all that is sent is lost.
  const isOfNoUse = !isFiltered(host, hostEnd.index) || redirectList(host, hostEnd.index).includes(0);
  if (isOfNoUse) qdiscDel(host, hostEnd.index, "ingress");
}

/** Takes the way to `ifbs` off a veth. */
export function unredirect(host: RtSocket, hostEnd: Link, ifbs: readonly Link[]): void {
  if (ifbs.length === 0) return;
  const targets = redirectList(host, hostEnd.index);
  if (ifbs.some(({ index }) => targets.includes(index))) qdiscDel(host, hostEnd.index, "ingress");
}
