/**
 * GC and STATUS.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { linkDel, linkList } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import { aliasPrefix, halfMadeGroup } from "../../lib/plugin/identity.ts";
import { parseConfig } from "./config.ts";
import { ifbName } from "./plan.ts";

/** Removes the ifbs of this network that are ours and of no attachment in the list. */
export async function gc(call: PluginCall): Promise<void> {
  const { name: network, validAttachments } = call.conf;
  if (validAttachments === undefined) return;
  const keep = new Set(
    validAttachments.map(({ containerID, ifname }) => ifbName({ network, containerId: containerID, ifname })),
  );
  const attempts = new Attempts("GC bandwidth");
  using host = RtSocket.open();
  const group = halfMadeGroup(network);
  for (const link of linkList(host)) {
    const ours = link.group === group || link.alias?.startsWith(aliasPrefix(network)) === true;
    if (link.kind === "ifb" && ours && !keep.has(link.name)) await attempts.try(() => linkDel(host, link.index));
  }
  attempts.finish();
}

/** Whether an ADD could succeed, as far as it can be told without making anything: the config is in order. */
export async function status(call: PluginCall): Promise<void> {
  parseConfig(call);
}
