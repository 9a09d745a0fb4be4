/**
 * What the verbs of a plugin that takes part in a chain reach the packet filter through: in a process of their own
 * the filter itself, in `type: tsnet` one that gathers what all parts want into one transaction.
 *
 * @module
 */
import type { CniResult, Plugin, PluginCall } from "../cni/types.ts";
import type { Backend, Firewall } from "../firewall/types.ts";

export interface Kit {
  /** The host's packet filter. `wanted` comes from the config; unset, it is what works on the host. */
  firewall(wanted?: Backend): Promise<Firewall>;
}

/** A plugin that can be a part of a chain in one process: its verbs do without a kit in one of their own. */
export interface ChainPlugin extends Plugin {
  add(call: PluginCall, kit?: Kit): Promise<CniResult>;
  del(call: PluginCall, kit?: Kit): Promise<void>;
  check(call: PluginCall, kit?: Kit): Promise<void>;
  gc(call: PluginCall, kit?: Kit): Promise<void>;
  status(call: PluginCall, kit?: Kit): Promise<void>;
}

/** The kit of a plugin in a process of its own. */
export const ownKit: Kit = {
  firewall: async (wanted) => (await import("../firewall/firewall.ts")).chooseFirewall(wanted),
};
