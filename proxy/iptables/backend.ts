/**
 * The back end for iptables: of either variant, one instance a family.
 *
 * What it keeps is the {@link Layout} of its last success. Calls that write run one after the other, an audit beside
 * them.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { IpsetTransaction } from "../../lib/ipset/transaction.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import type { Applied, Backend, BackendSettings } from "../backend.ts";
import type { ServiceChange, Table } from "../table/types.ts";
import { auditRules } from "./audit.ts";
import { findCapabilities } from "./capabilities.ts";
import { chainNames, hasChain, type ProxyHost, presentJumps, proxyHost, tableSizes } from "./host.ts";
import { type Counts, expectedCounts, looksIntact } from "./intact.ts";
import type { Layout } from "./layout.ts";
import { isServiceChain, MARKER, SERVICES } from "./names.ts";
import { destroySets, removeChains, removeIptablesRules, removeSets } from "./remove.ts";
import { replaceSteps } from "./replace.ts";
import { type Capabilities, sameShape, shapeOf } from "./shape.ts";
import { planUpdate } from "./update.ts";
import { chooseIptables } from "./variant.ts";

/** What iptables' back end tells beside what all do. */
export interface IptablesBackend extends Backend {
  readonly variant: IptablesVariant;
  /** Session affinity forgets clients beyond 100 an endpoint, as ipset is missing. False until something was written. */
  readonly limited: boolean;
}

/**
 * Works in the namespace that the process is in, with the iptables that this node uses.
 *
 * @throws TsnetError `not-found` if there is none; `conflict` where both variants are in use.
 */
export async function iptablesBackend(settings: BackendSettings, log: Log): Promise<IptablesBackend> {
  return new IptablesRules(proxyHost(settings.family, await chooseIptables()), settings, log);
}

/** The kernel lets go of a set a moment after the rules that named it are gone. */
const LET_GO_MS = 100;
// Looks, of which there is one a second.
const SURE_AFTER = 3;

class IptablesRules implements IptablesBackend {
  readonly mode = "iptables";
  readonly family: 4 | 6;
  readonly #host: ProxyHost;
  readonly #settings: BackendSettings;
  readonly #log: Log;
  #capabilities: Capabilities | undefined;
  /** Undefined before the first success and after a failure. */
  #layout: Layout | undefined;
  #table: Table | undefined;
  #counts: Counts | undefined;
  #sizes: string | undefined;
  /** At iptables-legacy's rules, since the last write. */
  #looks = 0;
  /** The chains that were written since the last audit began. */
  #touched = new Set<string>();
  /** Stale chains that others' rules keep. */
  #held: ReadonlySet<string> = new Set();
  #writing: Promise<unknown> = Promise.resolve();

  constructor(host: ProxyHost, settings: BackendSettings, log: Log) {
    this.#host = host;
    this.#settings = settings;
    this.#log = log;
    this.family = settings.family;
  }

  get variant(): IptablesVariant {
    return this.#host.variant;
  }

  get limited(): boolean {
    return this.#capabilities?.ipset === false;
  }

  replace(table: Table): Promise<Applied> {
    return this.#alone(() => this.#replace(table));
  }

  update(table: Table, changes: ReadonlyMap<string, ServiceChange>): Promise<Applied> {
    return this.#alone(async () => {
      const layout = this.#layout;
      if (layout === undefined) return this.#replace(table);
      if (!sameShape(layout.shape, shapeOf(this.#settings, table, layout.shape))) return this.#replace(table);
      const { text, written, newSets, oldSets, places, commit } = planUpdate(layout, changes.values());
      for (const place of places) this.#touched.add(place);
      this.#layout = undefined;
      await this.#makeSets(newSets, "empty");
      await this.#host.iptables.restore(this.family, text);
      commit();
      this.#committed(layout, table);
      this.#dropSets(oldSets);
      return { written, changed: text !== "" };
    });
  }

  async #replace(table: Table): Promise<Applied> {
    this.#layout = undefined;
    this.#capabilities ??= await findCapabilities(this.#host, this.#log);
    const shape = shapeOf(this.#settings, table, this.#capabilities);
    const present = await presentJumps(this.#host);
    const steps = replaceSteps(table, shape, { variant: this.#host.variant, present });
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) {
        this.#committed(step.value.layout, table);
        return { written: step.value.written, changed: true };
      }
      await this.#makeSets(step.value.sets);
      await this.#host.iptables.restore(this.family, step.value.text);
    }
  }

  /** Those that are there keep their clients, over a restart too, unless they shall be `empty`. */
  async #makeSets(names: readonly string[], empty?: "empty"): Promise<void> {
    const tx = new IpsetTransaction();
    for (const name of names) {
      tx.create({ name, family: this.family });
      if (empty !== undefined) tx.flush(name);
    }
    await this.#host.ipset.run(tx);
  }

  #dropSets(names: readonly string[], tries = 10): void {
    if (names.length === 0 || tries === 0) return;
    const again = () =>
      this.#alone(async () => {
        // After a failure it is a sweep's.
        const sets = this.#layout?.sets;
        const stale = sets === undefined ? [] : names.filter((name) => !sets.has(name));
        this.#dropSets(await destroySets(this.#host, stale), tries - 1);
      });
    setTimeout(() => void again(), LET_GO_MS).unref();
  }

  #committed(layout: Layout, table: Table): void {
    this.#layout = layout;
    this.#table = table;
    this.#counts = undefined;
    this.#sizes = tableSizes(this.#host);
    this.#looks = 0;
  }

  async sweep(): Promise<void> {
    const stale = (await chainNames(this.#host, "nat")).filter((chain) => this.#isStale(chain));
    await this.#alone(async () => {
      if (this.#layout === undefined) return;
      const held = await removeChains(this.#host, "nat", stale, (chain) => this.#isStale(chain), this.#log);
      this.#held = new Set(held);
      await removeSets(this.#host, this.#layout.sets, this.#log);
      this.#sizes = tableSizes(this.#host);
      this.#looks = 0;
      const removed = stale.length - held.length;
      if (removed > 0) this.#log.info("stale chains removed", { family: this.family, chains: removed });
    });
  }

  #isStale(chain: string): boolean {
    return this.#layout !== undefined && isServiceChain(chain) && !this.#layout.nat.has(chain);
  }

  present(): Promise<boolean> {
    return hasChain(this.#host, "nat", SERVICES);
  }

  intact(): Promise<boolean> {
    return this.#alone(async () => {
      const layout = this.#layout;
      if (layout === undefined || this.#table === undefined) return true;
      if (this.#host.variant === "nft") {
        this.#counts ??= expectedCounts(layout);
        return looksIntact(this.family, this.#counts);
      }
      // A table of the same size is taken for the same: legacy hands it out only whole.
      const sizes = tableSizes(this.#host);
      // But the size that is remembered was read a moment after our write, and somebody may have been quicker. To be
      // sure, a look at the whole, once it is quiet: not after each of many changes.
      const isSure = ++this.#looks !== SURE_AFTER;
      if (sizes === this.#sizes && isSure) return true;
      const found = await auditRules(this.#host, { layout, table: this.#table });
      if (found.length === 0) this.#sizes = sizes;
      return found.length === 0;
    });
  }

  async audit(): Promise<readonly string[]> {
    const [layout, table] = [this.#layout, this.#table];
    if (layout === undefined || table === undefined) return [];
    const touched = new Set<string>();
    this.#touched = touched;
    const found = await auditRules(this.#host, { layout, table, leftoversBut: this.#held });
    // Written whole meanwhile: the next audit looks again.
    if (this.#layout !== layout) return [];
    return found.filter(({ place }) => !touched.has(place)).map(({ text }) => text);
  }

  render(table: Table): string {
    const shape = shapeOf(this.#settings, table, this.#capabilities ?? { bpf: true, ipset: true });
    const steps = replaceSteps(table, shape, { variant: this.#host.variant, present: new Set() });
    return [...steps].map(({ text }) => text).join("");
  }

  async remove(): Promise<void> {
    await this.#alone(async () => {
      this.#layout = undefined;
      // A real kube-proxy that took over has removed our mark.
      const ours = await hasChain(this.#host, "nat", MARKER);
      const others = !ours && (await hasChain(this.#host, "nat", SERVICES));
      if (!others) await removeIptablesRules(this.family, this.#host.variant, this.#log);
      await removeSets(this.#host, new Set(), this.#log);
    });
  }

  /** One writer at a time. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#writing.then(work, work);
    this.#writing = done.catch(() => undefined);
    return done;
  }
}
