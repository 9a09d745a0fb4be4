/**
 * The tuning plugin: sysctls of the container's namespace, and MAC, MTU, queue length and modes of its interface. It
 * comes after the plugin that made the interface.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import type { ChainPlugin } from "../../lib/plugin/kit.ts";

export const plugin: ChainPlugin = {
  name: "tuning",
  validate: (call) => status(call),
  add: async (call) => (await import("./add.ts")).add(call),
  del: async (call) => (await import("./del.ts")).del(call),
  check: async (call) => (await import("./check.ts")).check(call),
  gc: async (call) => (await import("./gc.ts")).gc(call),
  status,
};

async function status(call: PluginCall): Promise<void> {
  return (await import("./gc.ts")).status(call);
}
