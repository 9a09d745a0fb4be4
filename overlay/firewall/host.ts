/**
 * The overlay's rules on one host: masquerade where the back end is, accepts where something drops.
 *
 * Base chains of netfilter are asked one after the other, and a drop in any of them is final. So the accepts go first
 * into FORWARD of whichever iptables holds rules, whatever our own back end is; a chain that somebody wrote in nftables
 * is not ours to change: foreign.ts warns of it.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import { isTsnetError, messageOf } from "../../lib/errors.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import { findIptables } from "../../lib/iptables/variant.ts";
import { type NftEvents, nftEvents } from "../../lib/nft/events.ts";
import type { NfSocket } from "../../lib/sys/nfsocket.ts";
import type { Choice } from "./choose.ts";
import type { FirewallWish, OverlayFirewall } from "./firewall.ts";
import { ForeignDrops } from "./foreign.ts";
import { OverlayChains, type PartRules } from "./iptables.ts";
import { forwardIsUsed, legacySizes } from "./iptables-look.ts";
import { NftTables } from "./nftables.ts";
import { acceptRules, masqueradeRules } from "./rules.ts";

const FAMILIES = [4, 6] as const;
const NFT_FIRST = ["nft", "legacy"] as const;
const LEGACY_FIRST = ["legacy", "nft"] as const;
const LEGACY_MS = 500;

export class HostFirewall implements OverlayFirewall {
  readonly backend: "iptables" | "nftables";
  readonly #choice: Choice;
  readonly #socket: NfSocket;
  readonly #log: Log;
  readonly #tables: NftTables;
  readonly #chains: readonly OverlayChains[];
  readonly #foreign: ForeignDrops;
  readonly #events: NftEvents | undefined;
  #installed: readonly IptablesVariant[] = [];
  #wish: FirewallWish | undefined;
  /** Whether the wish was met once, so that what is missing was taken away. */
  #written = false;
  #legacy = legacySizes();
  #legacyAt = 0;
  readonly #told = new Set<string>();

  constructor(choice: Choice, socket: NfSocket, log: Log) {
    this.backend = choice.backend;
    this.#choice = choice;
    this.#socket = socket;
    this.#log = log;
    this.#tables = new NftTables(socket);
    // Ours are in before what stood for the same goes, so that no connection is made without.
    const variants = choice.backend === "iptables" && choice.variant === "legacy" ? LEGACY_FIRST : NFT_FIRST;
    this.#chains = variants.flatMap((variant) => FAMILIES.map((family) => new OverlayChains(variant, family)));
    this.#foreign = new ForeignDrops(log);
    this.#events = openEvents(log);
  }

  async apply(wish: FirewallWish): Promise<void> {
    this.#wish = wish;
    this.#written = false;
    this.#installed = (await findIptables()).installed;
    if (this.backend === "nftables") this.#writeTables(wish);
    for (const chains of this.#chains) await this.#writeChains(chains, wish);
    if (this.backend === "iptables") this.#dropTables();
    this.#written = true;
    await this.#foreign.look(wish, { now: true });
  }

  async repair(): Promise<boolean> {
    const wish = this.#wish;
    if (wish === undefined) return false;
    if (!this.#written) {
      await this.apply(wish);
      return true;
    }
    let repaired = false;
    if (this.backend === "nftables" && !this.#tables.intact()) {
      this.#writeTables(wish);
      repaired = true;
    }
    for (const chains of this.#chains) {
      if (!this.#installed.includes(chains.variant) || (await this.#isRight(chains, wish))) continue;
      repaired = (await this.#writeChains(chains, wish)) || repaired;
    }
    await this.#foreign.look(wish);
    return repaired;
  }

  disturbed(): boolean {
    const events = this.#events;
    const foreign = events?.poll().some(({ pid }) => pid !== events.own.pid) ?? false;
    const now = performance.now();
    if (now - this.#legacyAt < LEGACY_MS) return foreign;
    this.#legacyAt = now;
    const before = this.#legacy;
    this.#legacy = legacySizes();
    return foreign || this.#legacy !== before;
  }

  close(): void {
    this.#events?.close();
    this.#socket.close();
  }

  #writeTables(wish: FirewallWish): void {
    this.#tables.write({ 4: masqueradeRules(wish, 4), 6: masqueradeRules(wish, 6) });
  }

  /** Of our other back end, and flannel's. */
  #dropTables(): void {
    try {
      this.#tables.remove();
    } catch (error) {
      // A kernel without nftables has none.
      if (!isTsnetError(error, "kernel-lacks", "invalid")) throw error;
    }
  }

  /** Whether the chains are as they were written, and nothing has come that they are needed for. */
  async #isRight(chains: OverlayChains, wish: FirewallWish): Promise<boolean> {
    if (!(await chains.intact())) return false;
    return chains.used || acceptRules(wish, chains.family).length === 0 || !(await forwardIsUsed(chains));
  }

  /** Whether it was done. What the back end itself refuses is an error, what only helps is a warning. */
  async #writeChains(chains: OverlayChains, wish: FirewallWish): Promise<boolean> {
    const { variant, family } = chains;
    try {
      const rules = await this.#rulesFor(chains, wish);
      const program = `${family === 4 ? "iptables" : "ip6tables"}-${variant}`;
      if (!this.#installed.includes(variant)) {
        if (rules.accept.length > 0) {
          this.#warnOnce(
            `FORWARD of ${program} may drop what is forwarded for the overlay, and ${program} is not here to add accepts: install it`,
          );
        }
        return false;
      }
      if (await chains.write(rules)) return true;
      this.#warnOnce(`chains of flannel's stay in ${program}, empty, as somebody's rules jump there`);
      return true;
    } catch (error) {
      if (this.#isChosen(chains)) throw error;
      this.#warnOnce(
        `cannot change iptables-${variant} of IPv${family}: what is forwarded for the overlay may be dropped there (${messageOf(error)})`,
      );
      return false;
    }
  }

  async #rulesFor(chains: OverlayChains, wish: FirewallWish): Promise<PartRules> {
    const { family } = chains;
    const isChosen = this.#isChosen(chains);
    const accept = isChosen || chains.used || (await forwardIsUsed(chains)) ? acceptRules(wish, family) : [];
    return { accept, masquerade: isChosen ? masqueradeRules(wish, family) : [] };
  }

  #isChosen({ variant }: OverlayChains): boolean {
    return this.#choice.backend === "iptables" && this.#choice.variant === variant;
  }

  #warnOnce(message: string): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#log.warn(message);
  }
}

/** Undefined where the kernel has no nftables, and so nobody who could change them. */
function openEvents(log: Log): NftEvents | undefined {
  try {
    return nftEvents();
  } catch (error) {
    log.debug(1, "changes of nftables are not told of", { reason: messageOf(error) });
    return undefined;
  }
}
