/**
 * The bandwidth plugin: what a container sends and receives is held to a rate. It comes after the plugin that made the
 * container's veth, and adds to that one's result the device that it needs.
 *
 * @module
 */
import { versionsFrom } from "../../lib/cni/supported.ts";
import { type ChainPlugin, ownKit } from "../../lib/plugin/kit.ts";

export const plugin: ChainPlugin = {
  name: "bandwidth",
  versions: versionsFrom("0.3.0"),
  validate: async (call) => void (await import("./config.ts")).parseConfig(call),
  add: async (call) => (await import("./add.ts")).add(call),
  del: async (call, kit = ownKit) => (await import("./del.ts")).del(call, kit),
  check: async (call) => (await import("./check.ts")).check(call),
  gc: async (call) => (await import("./gc.ts")).gc(call),
  status: async (call) => (await import("./gc.ts")).status(call),
};
