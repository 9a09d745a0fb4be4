/**
 * GC and STATUS.
 *
 * @module
 */
import { keptAttachments } from "../../lib/cni/attachments.ts";
import type { Attachment, PluginCall } from "../../lib/cni/types.ts";
import { callIpam, givesBackByLink } from "../../lib/ipam/call.ts";
import { linkGet } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { collectVeths } from "../../lib/plugin/veth.ts";
import { parseConfig, parseRemovalConfig } from "./config.ts";

/** Removes what is ours, of this network, and of no attachment in the list: veths, rules, addresses. */
export async function gc(call: PluginCall, kit: Kit): Promise<void> {
  const config = parseRemovalConfig(call);
  const keep = keptAttachments(call.conf);
  if (keep === undefined) return;
  const network = call.conf.name;
  const attempts = new Attempts("GC bridge");
  const { ipamType } = config;
  const freeAddresses = () => (ipamType === undefined ? undefined : callIpam(ipamType, call, "GC"));
  const isFirst = givesBackByLink(ipamType);
  if (isFirst) await attempts.try(freeAddresses);
  await attempts.try(() => collectPorts(config.bridge, network, keep));
  await attempts.try(async () => (await kit.firewall(config.ipMasqBackend)).collect(network, keep, ["masquerade"]));
  if (config.macSpoofCheck) {
    await attempts.try(async () => (await import("./spoof.ts")).collectSpoofChecks(network, keep));
  }
  if (!isFirst) await attempts.try(freeAddresses);
  attempts.finish();
}

/** Whether an ADD could succeed: the IPAM plugin knows, and the packet filter's program has to be there. */
export async function status(call: PluginCall, kit: Kit): Promise<void> {
  const config = parseConfig(call);
  if (config.ipMasq) await (await kit.firewall(config.ipMasqBackend)).ensureUsable();
  if (config.ipamType !== undefined) await callIpam(config.ipamType, call, "STATUS");
}

function collectPorts(bridge: string, network: string, keep: readonly Attachment[]): void {
  using host = RtSocket.open();
  collectVeths(host, { network, keep, master: linkGet(host, bridge)?.index });
}
