/**
 * The host-device plugin: a container gets one of the host's own links.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "host-device",
  add: async (call) => (await import("./verbs.ts")).add(call),
  del: async (call) => (await import("./verbs.ts")).del(call),
  check: async (call) => (await import("./verbs.ts")).check(call),
  gc: async (call) => (await import("./verbs.ts")).gc(call),
  status: async (call) => (await import("./verbs.ts")).status(call),
};
