/**
 * The vrf plugin: the container's interface gets a routing table to itself, by becoming the port of a VRF. It comes
 * after the plugin that made the interface, and hands that one's result on unchanged.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "vrf",
  add: async (call) => (await import("./add.ts")).add(call),
  del: async (call) => (await import("./del.ts")).del(call),
  check: async (call) => (await import("./check.ts")).check(call),
  // VRFs are the container's namespace's own, and go with it.
  gc() {},
  status: async (call) => (await import("./check.ts")).status(call),
};
