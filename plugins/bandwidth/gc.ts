/**
 * GC and STATUS.
 *
 * @module
 */
import { keptAttachments } from "../../lib/cni/attachments.ts";
import type { PluginCall } from "../../lib/cni/types.ts";
import { type Link, linkDel, linkList } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import { aliasPrefix, halfMadeGroup, hostVethAlias } from "../../lib/plugin/identity.ts";
import { parseConfig } from "./config.ts";
import { ifbName } from "./plan.ts";
import { unredirect, unshape } from "./unshape.ts";

/**
 * Removes the ifbs of this network that are ours and of no attachment in the list, and what limits their veths, where
 * those outlive them.
 */
export async function gc(call: PluginCall): Promise<void> {
  const { name: network } = call.conf;
  const valid = keptAttachments(call.conf);
  if (valid === undefined) return;
  const attempts = new Attempts("GC bandwidth");
  using host = RtSocket.open();
  const links = linkList(host);
  const isTagged = ({ alias }: Link) => alias?.startsWith(aliasPrefix(network)) === true;
  const names = new Set(valid.map(ifbName));
  const group = halfMadeGroup(network);
  const ifbs = links.filter(
    (link) => link.kind === "ifb" && (link.group === group || isTagged(link)) && !names.has(link.name),
  );
  const aliases = new Set(valid.map(hostVethAlias));
  for (const link of links) {
    if (link.kind !== "veth" || !isTagged(link) || aliases.has(link.alias ?? "")) continue;
    await attempts.try(() => unredirect(host, link, ifbs));
    await attempts.try(() => unshape(host, link));
  }
  for (const { index } of ifbs) await attempts.try(() => linkDel(host, index));
  attempts.finish();
}

/** Whether an ADD could succeed, as far as it can be told without making anything: the config is in order. */
export async function status(call: PluginCall): Promise<void> {
  parseConfig(call);
}
