/**
 * CHECK: whether interface and sysctls are still what the config wants. What it does not name may be anything.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { checkFailed, previousResult } from "../../lib/plugin/check.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { readSysctls } from "./apply.ts";
import { parseConfig, type TuningConfig } from "./config.ts";
import { changesLink } from "./plan.ts";
import { sameValue } from "./sysctl.ts";

export async function check(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  previousResult(call);
  const netns = openNetns(call.netns);
  try {
    const found = readSysctls(netns, config.sysctls);
    for (const { key, file, value } of config.sysctls) {
      const now = found.get(file);
      if (now !== undefined && !sameValue(now, value)) {
        throw checkFailed(`Tuning configured value of ${key} is ${value}, current value is ${now} (/proc/sys/${file})`);
      }
    }
    if (!changesLink(config)) return;
    using container = RtSocket.open(netns);
    const link = linkGet(container, call.ifname);
    if (link === undefined) throw checkFailed(`Cannot find container link ${call.ifname} in ${call.netns}`);
    checkLink(link, config);
  } finally {
    netns.close();
  }
}

function checkLink(link: Link, { mac, promisc, mtu, allmulti, txQueueLength }: TuningConfig): void {
  const wishes = [
    ["Ethernet address", mac, link.mac],
    ["promiscuous mode", promisc || undefined, link.promisc],
    ["MTU", mtu, link.mtu],
    ["all-multicast mode", allmulti, link.allmulti],
    ["transmit queue length", txQueueLength, link.txQueueLength],
  ] as const;
  for (const [what, wanted, found] of wishes) {
    if (wanted === undefined || wanted === found) continue;
    throw checkFailed(`Tuning configured ${what} of ${link.name} is ${wanted}, current value is ${found}`);
  }
}
