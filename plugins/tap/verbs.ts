/**
 * The verbs of tap: an interface in the container whose other end is a program, such as a virtual machine.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import {
  addInterface,
  checkInterface,
  delInterface,
  ipamTypeOf,
  removeInterface,
  statusOfAddresses,
} from "../../lib/plugin/interface.ts";
import { ensureTapDevices } from "../../lib/sys/tap.ts";
import { parseConfig } from "./config.ts";
import { checkTap, putTap } from "./device.ts";

/** How the kernel calls both TUN and TAP devices. */
const KIND = "tun";

export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  // Without a program behind it there is no carrier, and no duplicate could be looked for.
  return addInterface(call, {
    ipamType: config.ipamType,
    enableDad: false,
    put: (scene) => putTap(scene, config),
  });
}

export async function del(call: PluginCall): Promise<void> {
  await delInterface(call, { ipamType: ipamTypeOf(call), remove: () => removeInterface(call, KIND) });
}

export async function check(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const { ipamType, mtu } = config;
  await checkInterface(call, {
    ipamType,
    mtu,
    kind: KIND,
    look: (link, namespaces) => checkTap(link, namespaces, config),
  });
}

export async function status(call: PluginCall): Promise<void> {
  parseConfig(call);
  ensureTapDevices();
  await statusOfAddresses(call);
}
