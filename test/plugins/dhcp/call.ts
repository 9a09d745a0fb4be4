/**
 * A call of the plugin as its verbs get it.
 *
 * @module
 */
import { parseNetConf } from "../../../lib/cni/config.ts";
import { objectOf } from "../../../lib/cni/object.ts";
import type { PluginCall } from "../../../lib/cni/types.ts";

export function callWith(conf: object, { args = "" }: { readonly args?: string } = {}): PluginCall {
  const whole = { cniVersion: "1.1.0", name: "lan", type: "bridge", ...conf };
  return {
    command: "ADD",
    containerId: "c1",
    netns: "/run/netns/c1",
    ifname: "eth0",
    path: [],
    args,
    conf: parseNetConf(objectOf(whole, "the config")),
    stdin: JSON.stringify(whole),
    attachment: { network: "lan", containerId: "c1", ifname: "eth0" },
  };
}
