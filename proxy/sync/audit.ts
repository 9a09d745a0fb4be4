/**
 * Looks from time to time whether the kernel really holds what was committed: an endpoint that is silently missing
 * is found by nothing else.
 *
 * An audit reads all rules of a family, which takes a while at scale, so it runs beside the syncs and not between
 * them. What it found is worth nothing if something was written meanwhile: then it is repeated a little later.
 *
 * @module
 */

import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import type { FamilySync } from "./family.ts";

/** How an audit ended; `overtaken` by a sync. */
export type AuditResult = "clean" | "repaired" | "failed" | "overtaken";

export interface AuditorOptions {
  readonly families: readonly FamilySync[];
  readonly clock: Clock;
  readonly log: Log;
  /** Ms between two audits. */
  readonly period: number;
  /** From 0 to 1: hosts that were started together shall not audit together. */
  readonly random: () => number;
  /** Called after each audit with what was missing or too much, a line each. */
  readonly audited: (family: 4 | 6, result: AuditResult, differences: readonly string[]) => void;
  /** Asks for a sync. */
  readonly request: () => void;
}

const OVERTAKEN_MS = 10_000;
// The log shall show what kind of damage it is, not all of it.
const LINES = 10;

export class Auditor {
  readonly #options: AuditorOptions;
  #callOff: () => void = () => {};
  #stopped = false;

  constructor(options: AuditorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#next(this.#options.period * (0.5 + this.#options.random() / 2));
  }

  stop(): void {
    this.#stopped = true;
    this.#callOff();
  }

  /** Audits every family now. */
  async run(): Promise<readonly AuditResult[]> {
    const results: AuditResult[] = [];
    for (const family of this.#options.families) if (!this.#stopped) results.push(await this.#audit(family));
    return results;
  }

  #next(ms: number): void {
    if (this.#stopped) return;
    this.#callOff = this.#options.clock.after(ms, () => {
      void this.run().then((results) =>
        this.#next(results.includes("overtaken") ? OVERTAKEN_MS : this.#options.period),
      );
    });
  }

  async #audit(family: FamilySync): Promise<AuditResult> {
    const { audited, request } = this.#options;
    if (family.forgive()) request();
    // What is known to be wrong is on its way to be put right.
    if (!family.settled) return this.#end(family, "overtaken", []);
    const { generation } = family;
    let differences: readonly string[];
    try {
      differences = await family.backend.audit();
    } catch (error) {
      this.#options.log.warn("cannot audit the rules", { family: family.family, reason: messageOf(error) });
      return this.#end(family, "failed", []);
    }
    if (family.generation !== generation || !family.settled) return this.#end(family, "overtaken", []);
    if (differences.length === 0) return this.#end(family, "clean", []);
    this.#tell(family, differences);
    family.invalidate("audit");
    audited(family.family, "repaired", differences);
    request();
    return "repaired";
  }

  #end(family: FamilySync, result: AuditResult, differences: readonly string[]): AuditResult {
    this.#options.audited(family.family, result, differences);
    return result;
  }

  #tell(family: FamilySync, differences: readonly string[]): void {
    this.#options.log.warn("the audit found rules that are not as they were committed: putting them back", {
      family: family.family,
      differences: differences.length,
      first: differences.slice(0, LINES),
    });
  }
}
