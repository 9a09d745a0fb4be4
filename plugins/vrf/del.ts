/**
 * DEL: the interface leaves the VRF, and the VRF goes with its last port. Nothing there is fine.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { linkDel, linkGet, linkList, linkSet } from "../../lib/netlink/link.ts";
import { insideIfThere } from "../../lib/plugin/netns.ts";
import { parseConfig } from "./config.ts";

export function del(call: PluginCall): void {
  const { vrfName } = parseConfig(call);
  insideIfThere(call.netns, (container) => {
    const vrf = linkGet(container, vrfName);
    if (vrf?.kind !== "vrf") return;
    const link = linkGet(container, call.ifname);
    if (link?.master === vrf.index) linkSet(container, link.index, { master: 0 });
    if (!linkList(container).some(({ master }) => master === vrf.index)) linkDel(container, vrf.index);
  });
}
