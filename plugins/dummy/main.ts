/**
 * The dummy plugin: an interface of the container that leads nowhere, to have addresses on.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "dummy",
  add: async (call) => (await import("./verbs.ts")).add(call),
  del: async (call) => (await import("./verbs.ts")).del(call),
  check: async (call) => (await import("./verbs.ts")).check(call),
  gc: async (call) => (await import("../../lib/plugin/interface.ts")).gcAddresses(call),
  status: async (call) => (await import("./verbs.ts")).status(call),
};
