/**
 * The overlay's rules in the host's packet filter: opened when it is known which one, applied one after the other,
 * and looked after.
 *
 * @module
 */
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import type { FirewallWish, OverlayFirewall } from "./firewall/firewall.ts";
import { openFirewall } from "./firewall/open.ts";
import { subnetsOf } from "./parts.ts";
import type { OverlaySettings } from "./settings.ts";
import type { Lease, NetworkConfig } from "./types.ts";

export class Protection {
  readonly #settings: OverlaySettings;
  readonly #log: Log;
  #firewall: OverlayFirewall | undefined;
  /** One change or look at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #applied = false;

  constructor(settings: OverlaySettings, log: Log) {
    this.#settings = settings;
    this.#log = log;
  }

  /** Makes the rules follow; false, and a line in the log, if they could not. */
  apply(network: NetworkConfig, own: Lease): Promise<boolean> {
    return this.#next(async () => {
      try {
        this.#firewall ??= await openFirewall(this.#wanted(network), { log: this.#log });
        await this.#firewall.apply(this.#wish(network, own));
        this.#applied = true;
        return true;
      } catch (error) {
        this.#log.error("the packet filter does not take the overlay's rules", { reason: messageOf(error) });
        return false;
      }
    });
  }

  /** Whether somebody else changed rules since the last call. Does not wait. */
  disturbed(): boolean {
    return this.#applied && this.#firewall?.disturbed() === true;
  }

  /** Puts back what is missing; true if something was. */
  repair(): Promise<boolean> {
    return this.#next(async () => (this.#applied ? (await this.#firewall?.repair()) === true : false));
  }

  close(): void {
    this.#firewall?.close();
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  #wanted(network: NetworkConfig): OverlaySettings["firewall"] {
    if (this.#settings.firewall !== undefined || network.nftables === undefined) return this.#settings.firewall;
    return network.nftables ? "nftables" : "iptables";
  }

  #wish(network: NetworkConfig, own: Lease): FirewallWish {
    const { masquerade, randomFully, forwardRules: forward } = this.#settings;
    return { networks: network.networks, subnets: subnetsOf(own), masquerade, randomFully, forward };
  }
}
