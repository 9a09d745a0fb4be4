/**
 * DEL: everything of an attachment goes, however little is left to find it by. It goes on past errors and reports
 * them all; the address is freed last, so that nobody gets it while something of the old container stands.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { isTsnetError, joinErrors } from "../../lib/errors.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { type Netns, openNetns } from "../../lib/sys/netns.ts";
import { type BridgeConfig, parseConfig } from "./config.ts";
import { hostVethName } from "./identity.ts";
import { callIpam } from "./ipam.ts";
import { removeVeth } from "./wire.ts";

export async function del(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const errors: unknown[] = [];
  // Started first: the filter's program works while the kernel takes the link down.
  const filter = removeRules(call, config).catch((error: unknown) => void errors.push(error));
  try {
    removeLinks(call);
  } catch (error) {
    errors.push(error);
  }
  await filter;
  try {
    if (config.ipamType !== undefined) await callIpam(config.ipamType, call, "DEL");
  } catch (error) {
    errors.push(error);
  }
  if (errors.length > 0) throw joinErrors("DEL bridge", errors);
}

async function removeRules(call: PluginCall, config: BridgeConfig): Promise<void> {
  const work: Promise<void>[] = [];
  if (config.macSpoofCheck) {
    const { removeSpoofCheck } = await import("./spoof.ts");
    work.push(removeSpoofCheck(hostVethName(call.attachment)));
  }
  if (config.ipMasq) {
    const { chooseFirewall } = await import("../../lib/firewall/firewall.ts");
    const firewall = await chooseFirewall(config.ipMasqBackend);
    work.push(firewall.detach(call.attachment, ["masquerade"]));
  }
  await Promise.all(work);
}

function removeLinks(call: PluginCall): void {
  const netns = openIfThere(call.netns);
  using host = RtSocket.open();
  try {
    using container = netns === undefined ? undefined : RtSocket.open(netns);
    removeVeth(host, container, call.attachment);
  } finally {
    netns?.close();
  }
}

/** The runtime may have removed the namespace before it calls us, and some leave an empty file in its place. */
function openIfThere(path: string): Netns | undefined {
  if (path === "") return undefined;
  try {
    return openNetns(path);
  } catch (error) {
    if (isTsnetError(error, "not-found", "invalid-netns")) return undefined;
    throw error;
  }
}
