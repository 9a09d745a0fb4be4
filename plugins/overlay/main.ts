/**
 * The overlay plugin: a container in this host's part of a network that spans hosts.
 *
 * It reads what the overlay's agent wrote (or flannel's daemon: the file is the same) and has the bridge plugin do the
 * work, with that subnet, its MTU, and routes to the whole network. Nothing of the packet's way between hosts is its
 * business, so that containers come and go while no agent runs.
 *
 * @module
 */
import type { Plugin } from "../../lib/cni/types.ts";

export const plugin: Plugin = {
  name: "overlay",
  add: async (call) => (await import("./attach.ts")).add(call),
  del: async (call) => (await import("./detach.ts")).del(call),
  check: async (call) => (await import("./attach.ts")).check(call),
  gc: async (call) => (await import("./detach.ts")).gc(call),
  status: async (call) => (await import("./attach.ts")).status(call),
};
