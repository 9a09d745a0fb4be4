/**
 * The others: what the source tells of them, who of them is in, and what the kernel makes of it.
 *
 *     records → Roster (who can be used beside whom) → Fabric
 *
 * @module
 */
import type { Log } from "../lib/daemon/log.ts";
import type { Fabric, FabricReport } from "./kernel/fabric.ts";
import type { OverlayMetrics } from "./metrics.ts";
import { Roster, type RosterChange, type RosterOptions } from "./roster.ts";
import { Sayings } from "./sayings.ts";
import type { Lease } from "./types.ts";

export interface PeersOptions {
  readonly log: Log;
  readonly fabric: Fabric;
  readonly metrics: OverlayMetrics;
  /** Who is in or left out has changed. */
  readonly changed: () => void;
}

export class Peers {
  readonly #options: PeersOptions;
  /** All that the source told, ours too; undefined until it did. */
  #leases: Map<string, Lease> | undefined;
  readonly #malformed = new Map<string, string>();
  #roster: Roster | undefined;
  #failures: ReadonlyMap<string, string> = new Map();
  readonly #sayings = new Sayings();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Whether the source has told who there is. */
  get told(): boolean {
    return this.#leases !== undefined;
  }

  /** Whether those who are in are in the kernel: {@link enter} was called. */
  get entered(): boolean {
    return this.#roster !== undefined;
  }

  /** Those who are in. */
  get all(): readonly Lease[] {
    return this.#roster?.peers ?? [];
  }

  /**
   * Who is left out, and what the kernel refused: by key, with the reason. A record that is spoilt has its own,
   * whatever is said of the lease that it held before: that is what somebody has to correct.
   */
  get refused(): ReadonlyMap<string, string> {
    const kernels = [...this.#failures].map(([key, reason]) => [key === "" ? "this host" : key, reason] as const);
    const all = new Map([...this.#malformed, ...kernels, ...(this.#roster?.refused ?? [])]);
    for (const [key, reason] of this.#malformed) all.set(key, reason);
    return all;
  }

  replace(all: readonly Lease[]): void {
    this.#leases = new Map(all.map((lease) => [lease.key, lease]));
    this.#malformed.clear();
    if (this.#roster === undefined) return;
    this.#roster.replace(all);
    this.brought(this.#options.fabric.replace(this.#roster.peers));
    this.#changed();
  }

  upsert(lease: Lease): void {
    this.#leases?.set(lease.key, lease);
    this.#malformed.delete(lease.key);
    this.#follow(this.#roster?.upsert(lease));
  }

  remove(key: string): void {
    this.#leases?.delete(key);
    this.#malformed.delete(key);
    this.#follow(this.#roster?.remove(key));
  }

  malformed(key: string, reason: string): void {
    this.#malformed.set(key, reason);
    this.#options.log.warn("a record that cannot be read: what it held before stays", { key, reason });
    this.#changed();
  }

  /** Who we are is another: everybody is judged anew by the next {@link enter}. */
  leave(): void {
    this.#roster = undefined;
  }

  /** Has the kernel hold exactly those who are in beside `own`, whose devices are there. @throws TsnetError of the kernel. */
  enter(options: RosterOptions): void {
    this.#roster ??= new Roster(options);
    this.#roster.replace([...(this.#leases?.values() ?? [])]);
    this.brought(this.#options.fabric.replace(this.#roster.peers));
    this.#changed();
  }

  /** What the kernel made of a step: of one peer, or of all. What was found at a start is no damage. */
  brought({ failures, repairs }: FabricReport, key?: string): void {
    const { log } = this.#options;
    const others = key === undefined ? [] : [...this.#failures].filter(([other]) => other !== key);
    this.#failures = new Map([...others, ...failures]);
    for (const [peer, reason] of failures) log.error("the kernel refuses a peer's entries", { peer, reason });
    for (const { kind, object, found } of repairs) log.debug(2, "brought", { kind, object, found });
  }

  /** A comparison with the kernel, or its events, led to that. */
  repaired({ failures, repairs }: FabricReport): void {
    const { log, metrics } = this.#options;
    for (const { kind, object, found } of repairs) {
      log.warn("repaired", { kind, object, found });
      metrics.repaired(kind, 1);
    }
    if (Bun.deepEquals(failures, this.#failures)) return;
    for (const [peer, reason] of failures) {
      if (this.#failures.get(peer) === reason) continue;
      log.error("the kernel refuses a repair", { of: peer || "this host", reason });
    }
    this.#failures = failures;
    this.#changed();
  }

  #follow(change: RosterChange | undefined): void {
    if (change === undefined) return;
    const { fabric } = this.#options;
    for (const key of change.removed) this.brought(fabric.remove(key), key);
    for (const lease of change.upserted) this.brought(fabric.upsert(lease), lease.key);
    this.#changed();
  }

  #changed(): void {
    const { metrics, log, changed } = this.#options;
    metrics.peers(this.#roster?.size ?? 0);
    metrics.refused(this.refused.size);
    for (const [key, reason] of this.#roster?.refused ?? []) {
      this.#sayings.once(key, reason, () => log.warn("a lease is left out", { key, reason }));
    }
    changed();
  }
}
