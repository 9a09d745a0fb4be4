/**
 * CHECK and STATUS.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { vrfTableOf } from "../../lib/netlink/kinds.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { addressesOf, checkAddresses, checkFailed, checkPresent, previousResult } from "../../lib/plugin/check.ts";
import { requireKind } from "../../lib/plugin/lacks.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { parseConfig } from "./config.ts";

/** The VRF is there, up and has its table, and the interface is a port of it and has its addresses. */
export function check(call: PluginCall): void {
  const { vrfName, table } = parseConfig(call);
  const result = previousResult(call);
  const netns = openNetns(call.netns);
  try {
    using container = RtSocket.open(netns);
    const vrf = checkPresent(container, vrfName, "VRF");
    const found = vrfTableOf(vrf);
    if (found === undefined) throw checkFailed(`${vrfName} is ${vrf.kind ?? "hardware"}, wanted a VRF`);
    if (table !== undefined && found !== table)
      throw checkFailed(`VRF ${vrfName} has the table ${found}, wanted ${table}`);
    if (!vrf.up) throw checkFailed(`VRF ${vrfName} is down, wanted up`);
    const link = checkPresent(container, call.ifname, `interface of ${call.containerId}`);
    if (link.master !== vrf.index) throw checkFailed(`failed to find ${call.ifname} associated to vrf ${vrfName}`);
    checkAddresses(container, link, call.netns, addressesOf(call, result));
  } finally {
    netns.close();
  }
}

/** Whether the kernel has VRFs. @throws TsnetError `kernel-lacks`, `invalid`. */
export function status(call: PluginCall): void {
  parseConfig(call);
  using host = RtSocket.open();
  requireKind(host, "vrf");
}
