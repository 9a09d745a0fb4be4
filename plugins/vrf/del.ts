/**
 * DEL: the interface leaves the VRF, and the VRF goes with its last port. Nothing there is fine.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { linkDel, linkGet, linkList, linkSet } from "../../lib/netlink/link.ts";
import { insideIfThere } from "../../lib/plugin/netns.ts";

export function del(call: PluginCall): void {
  // A config that ADD would refuse is no reason to leave anything: then it is the VRF that the interface is in.
  const vrfName = call.conf.raw.value("vrfname");
  insideIfThere(call.netns, (container) => {
    const link = linkGet(container, call.ifname);
    const which = typeof vrfName === "string" && vrfName !== "" ? vrfName : link?.master;
    const vrf = which === undefined ? undefined : linkGet(container, which);
    if (vrf?.kind !== "vrf") return;
    if (link?.master === vrf.index) linkSet(container, link.index, { master: 0 });
    if (!linkList(container).some(({ master }) => master === vrf.index)) linkDel(container, vrf.index);
  });
}
