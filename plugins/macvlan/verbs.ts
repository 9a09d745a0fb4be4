/**
 * The verbs of macvlan: an interface with a MAC of its own on a link of the host.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import type { Link } from "../../lib/netlink/link.ts";
import { macvlan, macvlanOf } from "../../lib/netlink/stacked.ts";
import { checkFailed } from "../../lib/plugin/check.ts";
import { addInterface, checkInterface, delInterface, ipamTypeOf, removeInterface } from "../../lib/plugin/interface.ts";
import { checkMaster, putStacked, statusOfStacked } from "../../lib/plugin/stacked.ts";
import { type MacvlanConfig, parseConfig } from "./config.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  const { mode, mac, broadcastQueue, ipamType } = config;
  const kind = macvlan({ mode, ...(broadcastQueue === undefined ? {} : { broadcastQueue }) });
  const put = { config, kind, mac, reasons: { EINVAL: REASON } };
  // Others beside us give addresses on the master's network: duplicates are looked for.
  return addInterface(call, { ipamType, enableDad: true, put: (scene) => putStacked(scene, put) });
}

export async function del(call: PluginCall): Promise<void> {
  await delInterface(call, {
    ipamType: ipamTypeOf(call),
    remove: () => removeInterface(call, "macvlan"),
  });
}

export async function check(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const { ipamType, mtu } = config;
  await checkInterface(call, {
    ipamType,
    mtu,
    kind: "macvlan",
    look(link, namespaces) {
      checkMaster(link, namespaces, config);
      checkSettings(link, config);
    },
  });
}

export async function status(call: PluginCall): Promise<void> {
  await statusOfStacked(call, parseConfig(call), "macvlan");
}

function checkSettings(link: Link, { mode, broadcastQueue }: MacvlanConfig): void {
  const found = macvlanOf(link);
  if (found?.mode !== mode) throw checkFailed(`${link.name} is in macvlan mode ${found?.mode}, wanted ${mode}`);
  if (broadcastQueue !== undefined && found.broadcastQueue !== broadcastQueue)
    throw checkFailed(`${link.name} has a bcqueuelen of ${found.broadcastQueue}, wanted ${broadcastQueue}`);
}

const REASON = "a master in mode passthru has one macvlan and no other, and lo has none";
