/**
 * Chains of nftables that somebody wrote, and that drop what is forwarded for the overlay: no table of ours can
 * overrule them, so whoever runs the host is told which rules to add.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import { droppingChains } from "../../lib/firewall/drops.ts";
import { formatCidr, networkOf } from "../../lib/net/cidr.ts";
import { realNft } from "../../lib/nft/nft.ts";
import type { FirewallWish } from "./firewall.ts";

/** A look starts `nft` two times or more, and rules may change many times a second. */
const PAUSE_MS = 30_000;

export class ForeignDrops {
  readonly #log: Log;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Those that were warned of. */
  #told: ReadonlySet<string> = new Set();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Looks, `now` or if it is time again, and warns of what is new. Never fails: this is advice. */
  async look(wish: FirewallWish, { now = false } = {}): Promise<void> {
    const networks = Object.values(wish.networks);
    if (!wish.forward || networks.length === 0 || Bun.which("nft") === null) return;
    if (!now && performance.now() - this.#lookedAt < PAUSE_MS) return;
    this.#lookedAt = performance.now();
    try {
      this.#tell(wish, await droppingChains(realNft(), { links: [], networks }));
    } catch (error) {
      this.#log.debug(1, "cannot tell whether a table of nftables drops what is forwarded", {
        reason: messageOf(error),
      });
    }
  }

  #tell(wish: FirewallWish, found: Awaited<ReturnType<typeof droppingChains>>): void {
    const told = new Set<string>();
    for (const { chain, reason } of found) {
      const name = `${chain.family} ${chain.table} ${chain.chain}`;
      told.add(name);
      if (this.#told.has(name)) continue;
      const rules = Object.values(wish.networks).flatMap((network) => {
        const ip = network.address.family === 4 ? "ip" : "ip6";
        if (chain.family !== "inet" && chain.family !== ip) return [];
        const cidr = formatCidr(networkOf(network));
        return ["saddr", "daddr"].map((side) => `nft insert rule ${name} ${ip} ${side} ${cidr} accept`);
      });
      this.#log.warn(
        `nftables chain ${name} drops what is forwarded for the overlay (${reason}), and no other table can overrule it; add to it: ${rules.join("; ")}`,
      );
    }
    this.#told = told;
  }
}
