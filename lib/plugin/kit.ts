/**
 * What the verbs of a plugin that takes part in a chain reach the packet filter through: in a process of their own
 * the filter itself, in `type: tsnet` one that gathers what all parts want into one transaction.
 *
 * A verb says what it wants at the time when it would do it alone. A kit that gathers does it later, together with
 * what the other parts want, and fails then for all of them; so a verb may count on its rules being in place, or on
 * links being gone, only in what it hands to {@link Kit.afterwards}.
 *
 * @module
 */
import type { CniResult, Plugin, PluginCall } from "../cni/types.ts";
import type { Backend, Firewall, Wishes } from "../firewall/types.ts";
import type { RtSocket } from "../netlink/socket.ts";

export interface Kit {
  /** The host's packet filter. `wanted` comes from the config; unset, it is what works on the host. */
  firewall(wanted?: Backend): Promise<Firewall>;

  /**
   * ADD tells what its result will be, as soon as there are addresses and it has said its own wish: in one process
   * the rules of the parts behind it go to the filter with its own then, while it goes on with links and routes.
   */
  foresee?(result: CniResult): Promise<void>;

  /**
   * Removes a link of the host; false if there is none. Gathered, it goes with those of the other parts, in one
   * message to the kernel. Absent, `linkDel` does.
   */
  removeLink?(host: RtSocket, name: string): boolean;

  /** DEL: whether the host's end of the container's veth goes in the same call, and with it all that is on it. */
  readonly vethGoes?: boolean;

  /** DEL: does what has to wait until rules and links are gone, such as freeing the address. Absent: at once. */
  afterwards?(work: () => Promise<unknown>): void;
}

/** What a part asks of the packet filter. */
export interface FilterWishes {
  /** Unset: what works on the host. */
  readonly backend: Backend | undefined;
  readonly wishes: Wishes;
}

/** A plugin that can be a part of a chain in one process: its verbs do without a kit in one of their own. */
export interface ChainPlugin extends Plugin {
  /** Reads everything that ADD reads of its config, before anything is touched. @throws TsnetError as ADD does. */
  validate?(call: PluginCall): Promise<void>;
  /** What ADD will ask of the packet filter after `prevResult`. Pure; undefined for nothing. */
  foreseen?(call: PluginCall): Promise<FilterWishes | undefined>;
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
