/**
 * One exec a chain: the plugins that a network list has one after the other, done in one process.
 *
 * The parts are the plugins themselves, with their own configs and results; what is saved is their processes, their
 * separate changes to the packet filter, and the kernel's waiting after each.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "tsnet",
  add: async (call) => (await import("./add.ts")).add(call),
  del: async (call) => (await import("./del.ts")).del(call),
  check: async (call) => (await import("./check.ts")).check(call),
  gc: async (call) => (await import("./check.ts")).gc(call),
  status: async (call) => (await import("./check.ts")).status(call),
};
