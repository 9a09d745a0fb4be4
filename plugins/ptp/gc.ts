/**
 * GC and STATUS.
 *
 * @module
 */
import { keptAttachments } from "../../lib/cni/attachments.ts";
import type { PluginCall } from "../../lib/cni/types.ts";
import { callIpam } from "../../lib/ipam/call.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { collectVeths } from "../../lib/plugin/veth.ts";
import { parseConfig, parseRemovalConfig } from "./config.ts";

/** Removes what is ours, of this network, and of no attachment in the list: veths, rules, addresses. */
export async function gc(call: PluginCall, kit: Kit): Promise<void> {
  const { ipamType, ipMasqBackend } = parseRemovalConfig(call);
  const keep = keptAttachments(call.conf);
  if (keep === undefined) return;
  const network = call.conf.name;
  const attempts = new Attempts("GC ptp");
  await attempts.try(() => {
    using host = RtSocket.open();
    collectVeths(host, { network, keep });
  });
  await attempts.try(async () => (await kit.firewall(ipMasqBackend)).collect(network, keep, ["masquerade"]));
  await attempts.try(() => (ipamType === undefined ? undefined : callIpam(ipamType, call, "GC")));
  attempts.finish();
}

/** Whether an ADD could succeed: the IPAM plugin knows, and the packet filter's program has to be there. */
export async function status(call: PluginCall, kit: Kit): Promise<void> {
  const { ipamType, ipMasq, ipMasqBackend } = parseConfig(call);
  if (ipMasq) await (await kit.firewall(ipMasqBackend)).ensureUsable();
  await callIpam(ipamType, call, "STATUS");
}
