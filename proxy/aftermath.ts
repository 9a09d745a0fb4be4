/**
 * What follows from a sync beside rules: figures and lines for whoever watches, health, flows that lead nowhere,
 * health-check node ports, and once the first one succeeded, the end of what was there before us.
 *
 * @module
 */

import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import type { FlowCleaner } from "./conntrack.ts";
import type { ProxyHealth } from "./health/health.ts";
import type { HealthCheckPorts } from "./health/node-ports.ts";
import type { ProxyMetrics } from "./metrics.ts";
import type { FlowCleanup, Pending } from "./state/pending.ts";
import type { FamilyResult } from "./sync/family.ts";

export interface AftermathOptions {
  readonly log: Log;
  readonly metrics: ProxyMetrics;
  readonly health: ProxyHealth;
  readonly cleaner: FlowCleaner;
  readonly ports: HealthCheckPorts;
  /** Whether changes wait that no sync has begun with. */
  readonly moreWaits: () => boolean;
  /** Called after the first sync that succeeded in every family. Its failure is told and has no consequence. */
  readonly firstSuccess: () => Promise<void>;
}

// The log shall show which services, as long as one can read it.
const NAMES = 5;
// What could not be brought for a long time is not kept for ever.
const MOST_TRIGGERS = 100_000;
// How often a proxy that shall end by itself tries.
const TRIES = 3;

type Owed = Readonly<Record<"udp" | "tcp", readonly FlowCleanup[]>> & { readonly triggers: readonly number[] };

export class Aftermath {
  readonly #options: AftermathOptions;
  /** By family, what a later success will have brought. */
  readonly #owed = new Map<4 | 6, Owed>();
  readonly #outcome = Promise.withResolvers<boolean>();
  #succeeded = false;
  #failures = 0;

  constructor(options: AftermathOptions) {
    this.#options = options;
  }

  synced(pending: Pending, results: readonly FamilyResult[]): void {
    const { metrics, ports } = this.#options;
    metrics.taken(pending.serviceChanges, pending.endpointChanges);
    for (const result of results) {
      this.#owe(result.family, pending);
      metrics.synced(result);
      metrics.noLocalEndpoints(result.family, pending.noLocalEndpoints);
      this.#tell(result, pending);
      if (result.kind !== "failed" && result.kind !== "postponed") this.#settle(result.family);
    }
    ports.sync(pending.healthChecks);
    if (results.some(({ kind }) => kind === "failed") && ++this.#failures === TRIES) this.#outcome.resolve(false);
    if (this.#succeeded || results.some(({ kind }) => kind === "failed" || kind === "postponed")) return;
    this.#succeeded = true;
    void this.#first().then(() => this.#outcome.resolve(true));
  }

  /** Resolves after the first success and what it entails, or with false after a few failures. */
  get outcome(): Promise<boolean> {
    return this.#outcome.promise;
  }

  #owe(family: 4 | 6, pending: Pending): void {
    const { triggers, udp, tcp } = this.#owed.get(family) ?? NOTHING;
    this.#owed.set(family, {
      triggers: [...triggers, ...pending.triggers].slice(-MOST_TRIGGERS),
      udp: [...udp, ...(pending.udp.get(family) ?? [])],
      tcp: [...tcp, ...(pending.tcp.get(family) ?? [])],
    });
  }

  /** All that was owed to this family is in place. */
  #settle(family: 4 | 6): void {
    const { metrics, health, cleaner, moreWaits } = this.#options;
    const { triggers, udp, tcp } = this.#owed.get(family) ?? NOTHING;
    this.#owed.delete(family);
    metrics.programmed(family, triggers);
    cleaner.queue(family, "udp", udp);
    cleaner.queue(family, "tcp", tcp);
    health.updated(family);
    if (moreWaits()) health.queued(family);
  }

  #tell({ family, kind, written, ms, refused }: FamilyResult, pending: Pending): void {
    const { log } = this.#options;
    if (kind === "none" || kind === "postponed" || kind === "failed") return;
    const changes = pending.changes.get(family) ?? new Map();
    const fields = {
      family,
      kind,
      services: changes.size,
      slices: pending.endpointChanges,
      written,
      ms: Math.round(ms * 10) / 10,
      ...(refused.size > 0 ? { refused: refused.size } : {}),
      ...(changes.size > 0 && changes.size <= NAMES ? { changed: [...changes.keys()] } : {}),
    };
    if (kind === "full") log.info("rules in place", { ...fields, all: pending.tables.get(family)?.services.size });
    else log.debug(2, "rules changed", fields);
  }

  async #first(): Promise<void> {
    try {
      await this.#options.firstSuccess();
    } catch (error) {
      this.#options.log.warn("something is left of who was here before", { reason: messageOf(error) });
    }
  }
}

const NOTHING: Owed = { triggers: [], udp: [], tcp: [] };
