/**
 * The verbs of vlan: an interface in one VLAN (IEEE 802.1Q) of a link of the host.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import type { Link } from "../../lib/netlink/link.ts";
import { vlan, vlanIdOf } from "../../lib/netlink/stacked.ts";
import { checkFailed } from "../../lib/plugin/check.ts";
import { addInterface, checkInterface, delInterface, ipamTypeOf, removeInterface } from "../../lib/plugin/interface.ts";
import { checkMaster, putStacked, statusOfStacked } from "../../lib/plugin/stacked.ts";
import { parseConfig } from "./config.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  const reasons = { EEXIST: `VLAN ${config.vlanId} of it is another container's or the host's already` };
  const put = { config, kind: vlan(config.vlanId), reasons };
  // Others beside us give addresses in the VLAN: duplicates are looked for.
  return addInterface(call, { ipamType: config.ipamType, enableDad: true, put: (scene) => putStacked(scene, put) });
}

export async function del(call: PluginCall): Promise<void> {
  await delInterface(call, {
    ipamType: ipamTypeOf(call),
    remove: () => removeInterface(call, "vlan"),
  });
}

export async function check(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const { ipamType, mtu, vlanId } = config;
  await checkInterface(call, {
    ipamType,
    mtu,
    kind: "vlan",
    look(link, namespaces) {
      checkMaster(link, namespaces, config);
      checkVlan(link, vlanId);
    },
  });
}

/** @throws TsnetError `check-failed` if the link is in another VLAN. */
export function checkVlan(link: Link, vlanId: number): void {
  const found = vlanIdOf(link);
  if (found !== vlanId) throw checkFailed(`${link.name} is in VLAN ${found}, wanted ${vlanId}`);
}

export async function status(call: PluginCall): Promise<void> {
  await statusOfStacked(call, parseConfig(call), "vlan");
}
