/**
 * The ptp plugin: a link of its own between each container and the host, which routes for it.
 *
 * @module
 */
import { type ChainPlugin, ownKit } from "../../lib/plugin/kit.ts";

export const plugin: ChainPlugin = {
  name: "ptp",
  add: async (call, kit = ownKit) => (await import("./add.ts")).add(call, kit),
  del: async (call, kit = ownKit) => (await import("./del.ts")).del(call, kit),
  check: async (call, kit = ownKit) => (await import("./check.ts")).check(call, kit),
  gc: async (call, kit = ownKit) => (await import("./gc.ts")).gc(call, kit),
  status: async (call, kit = ownKit) => (await import("./gc.ts")).status(call, kit),
};
