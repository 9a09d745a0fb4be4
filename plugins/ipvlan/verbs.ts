/**
 * The verbs of ipvlan: an interface on a link of the host, whose MAC it shares.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import type { Link } from "../../lib/netlink/link.ts";
import { type IpvlanMode, ipvlan, ipvlanModeOf } from "../../lib/netlink/stacked.ts";
import { checkFailed } from "../../lib/plugin/check.ts";
import { addInterface, checkInterface, delInterface, ipamTypeOf, removeInterface } from "../../lib/plugin/interface.ts";
import { checkMaster, putStacked, statusOfStacked } from "../../lib/plugin/stacked.ts";
import { parseConfig, parseConfigToAdd } from "./config.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfigToAdd(call);
  const { mode, ipamType, given } = config;
  const put = { config, kind: ipvlan(mode) };
  return addInterface(call, {
    ipamType,
    ...(given === undefined ? {} : { given }),
    // Others beside us give addresses on the master's network: duplicates are looked for.
    enableDad: true,
    put: (scene) => putStacked(scene, put),
  });
}

export async function del(call: PluginCall): Promise<void> {
  await delInterface(call, {
    ipamType: ipamTypeOf(call),
    remove: () => removeInterface(call, "ipvlan"),
  });
}

export async function check(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const { ipamType, mtu, mode } = config;
  await checkInterface(call, {
    ipamType,
    mtu,
    kind: "ipvlan",
    look(link, namespaces) {
      checkMaster(link, namespaces, config);
      checkMode(link, mode);
    },
  });
}

/** @throws TsnetError `check-failed` if the link is in another mode. */
export function checkMode(link: Link, mode: IpvlanMode): void {
  const found = ipvlanModeOf(link);
  if (found !== mode) throw checkFailed(`${link.name} is in ipvlan mode ${found}, wanted ${mode}`);
}

export async function status(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  // In a chain the master is what the plugin before us will have made by then: there is none to look for.
  const isChained = config.master === undefined && config.ipamType === undefined;
  await statusOfStacked(call, isChained ? { ...config, linkInContainer: true } : config, "ipvlan");
}
