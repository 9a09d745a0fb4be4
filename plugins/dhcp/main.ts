/**
 * The dhcp plugin: addresses from a DHCP server that is on the container's network.
 *
 * A lease outlives the call that gets it, so a daemon (`dhcp daemon`, the folder beside this file) gets, renews and
 * gives back; the plugin asks it.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "dhcp",
  add: async (call) => (await verbs()).add(call),
  del: async (call) => (await verbs()).del(call),
  check: async (call) => (await verbs()).check(call),
  gc: async (call) => (await verbs()).gc(call),
  status: async (call) => (await verbs()).status(call),
};

function verbs() {
  return import("./verbs.ts");
}
