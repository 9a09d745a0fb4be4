/**
 * DEL: the ifb goes, and the host's end, if it is still there, is as it was. The config is not asked: it may have
 * changed since ADD.
 *
 * @module
 */
import type { Attachment, PluginCall } from "../../lib/cni/types.ts";
import { redirectList } from "../../lib/netlink/filter.ts";
import { type Link, linkDel, linkGet, linkList } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import { hostVethAlias, isOfAnother } from "../../lib/plugin/identity.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { insideIfThere } from "../../lib/plugin/netns.ts";
import { findHostEnd } from "./hostend.ts";
import { ifbName, referenceIfbName } from "./plan.ts";
import { unredirect, unshape } from "./unshape.ts";

export async function del(call: PluginCall, kit: Kit): Promise<void> {
  const attempts = new Attempts("DEL bandwidth");
  using host = RtSocket.open();
  const senders: (Sender | undefined)[] = [];
  await attempts.try(() =>
    senders.push(insideIfThere(call.netns, (container) => ({ hostEnd: findHostEnd(host, container, call.ifname) }))),
  );
  const [sender] = senders;
  const links = linksOf(host, call.attachment, sender);
  // What is on a link that goes needs no removal, for which the kernel would wait each time.
  const stays = kit.vethGoes !== true || sender?.hostEnd?.alias !== hostVethAlias(call.attachment);
  const hostEnd = stays ? sender?.hostEnd : undefined;
  // First the way to the ifb: what is redirected to one that is gone is lost.
  if (hostEnd !== undefined) await attempts.try(() => unredirect(host, hostEnd, links));
  if (hostEnd !== undefined && isOurs(hostEnd, call)) await attempts.try(() => unshape(host, hostEnd));
  for (const { name } of links) await attempts.try(() => (kit.removeLink ?? linkDel)(host, name));
  attempts.finish();
}

/** A container whose namespace is there, and the host's end of its veth, if it has one. */
export interface Sender {
  readonly hostEnd: Link | undefined;
}

/**
 * The links on the host that shaping an attachment made and that are still there, by us or by the reference plugin.
 * Without a `sender` the container's namespace is gone, and its veths at least on their way.
 */
export function linksOf(host: RtSocket, attachment: Attachment, sender: Sender | undefined): readonly Link[] {
  const ours = linkGet(host, ifbName(attachment));
  if (ours !== undefined) return ours.kind === "ifb" ? [ours] : [];
  const theirs = linkGet(host, referenceIfbName(attachment));
  return theirs?.kind === "ifb" && !(sender !== undefined && isUsedByAnother(host, theirs, sender)) ? [theirs] : [];
}

/** The reference's name is that of any interface of the container on the network: whose it is, is who sends by it. */
function isUsedByAnother(host: RtSocket, ifb: Link, { hostEnd }: Sender): boolean {
  return linkList(host).some(
    ({ kind, index }) =>
      kind === "veth" && index !== hostEnd?.index && redirectList(host, index).some((to) => to === ifb.index),
  );
}

/**
 * A runtime calls DEL also after an ADD that failed because another network has the interface: that one's veth is not
 * of our result, and has an alias that is not ours.
 */
function isOurs({ name, alias }: Link, { attachment, conf }: PluginCall): boolean {
  if (isOfAnother(alias, attachment)) return false;
  const listed = conf.prevResult?.interfaces.some((one) => one.name === name && (one.sandbox ?? "") === "");
  return listed === true || alias === hostVethAlias(attachment);
}
