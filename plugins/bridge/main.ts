/**
 * The bridge plugin: containers on a Linux bridge of the host.
 *
 * @module
 */

import type { ChainPlugin } from "../../lib/plugin/kit.ts";
import { ownKit } from "../../lib/plugin/kit.ts";

export const plugin: ChainPlugin = {
  name: "bridge",
  validate: async (call) => (await import("./validate.ts")).validate(call),
  add: async (call, kit = ownKit) => (await import("./add.ts")).add(call, kit),
  del: async (call, kit = ownKit) => (await import("./del.ts")).del(call, kit),
  check: async (call, kit = ownKit) => (await import("./check.ts")).check(call, kit),
  gc: async (call, kit = ownKit) => (await import("./gc.ts")).gc(call, kit),
  status: async (call, kit = ownKit) => (await import("./gc.ts")).status(call, kit),
};
