/**
 * The bridge plugin: containers on a Linux bridge of the host.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "bridge",
  add: async (call) => (await import("./add.ts")).add(call),
  del: async (call) => (await import("./del.ts")).del(call),
  check: async (call) => (await import("./check.ts")).check(call),
  gc: async (call) => (await import("./gc.ts")).gc(call),
  status: async (call) => (await import("./gc.ts")).status(call),
};
