/**
 * static as a plugin of its own. The work is in `lib/ipam`, where the plugins that give interfaces find it, too.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "static",
  add: async (call) => (await verbs()).add(call),
  del: async (call) => (await verbs()).del(call),
  check: async (call) => (await verbs()).check(call),
  gc: async (call) => (await verbs()).gc(call),
  status: async (call) => (await verbs()).status(call),
};

async function verbs() {
  return (await import("../../lib/ipam/static.ts")).staticAddresses;
}
