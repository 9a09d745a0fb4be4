/**
 * The sbr plugin, source based routing: what a container sends from an interface's addresses leaves by that
 * interface. It comes after the plugin that made the interface, and hands that one's result on unchanged.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "sbr",
  add: async (call) => (await import("./add.ts")).add(call),
  del: async (call) => (await import("./del.ts")).del(call),
  check: async (call) => (await import("./check.ts")).check(call),
  // Rules and tables are the container's namespace's own, and go with it.
  gc() {},
  status: async (call) => void (await import("./config.ts")).parseConfig(call),
};
