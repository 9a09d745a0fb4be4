/**
 * A back end that remembers what it was told, and a table for it.
 *
 * @module
 */

import { type Log, openLog } from "../../../lib/daemon/log.ts";
import { TsnetError } from "../../../lib/errors.ts";
import type { Applied, Backend } from "../../../proxy/backend.ts";
import type { Pending } from "../../../proxy/state/pending.ts";
import type { PortRules, ServiceChange, Table } from "../../../proxy/table/types.ts";

export class FakeBackend implements Backend {
  readonly mode = "nftables";
  readonly family: 4 | 6;
  /** What was called, in order: `replace a b`, `update b`, `sweep`. */
  readonly calls: string[] = [];
  /** Services that make any transaction fail that they are in. */
  readonly poisoned = new Set<string>();
  /** How many of the next calls that write fail. */
  failing = 0;
  isIntact = true;
  isPresent = false;
  found: readonly string[] = [];
  /** While set, calls that write wait for it. */
  gate: Promise<void> | undefined;
  auditGate: Promise<void> | undefined;
  /** What the kernel would have. */
  services = new Set<string>();

  constructor(family: 4 | 6 = 4) {
    this.family = family;
  }

  async replace(table: Table): Promise<Applied> {
    const names = [...table.services.keys()];
    await this.#write(`replace ${names.join(" ")}`.trim(), names);
    this.services = new Set(names);
    return { written: names.length, changed: true };
  }

  async update(_: Table, changes: ReadonlyMap<string, ServiceChange>): Promise<Applied> {
    const there = [...changes].filter(([, { after }]) => after !== undefined).map(([name]) => name);
    await this.#write(`update ${[...changes.keys()].join(" ")}`, there);
    for (const [name, { after }] of changes) {
      if (after === undefined) this.services.delete(name);
      else this.services.add(name);
    }
    return { written: changes.size, changed: true };
  }

  async sweep(): Promise<void> {
    this.calls.push("sweep");
  }

  async present(): Promise<boolean> {
    return this.isPresent;
  }

  async intact(): Promise<boolean> {
    return this.isIntact;
  }

  async audit(): Promise<readonly string[]> {
    this.calls.push("audit");
    await this.auditGate;
    return this.found;
  }

  render(): string {
    return "";
  }

  async remove(): Promise<void> {}

  async #write(call: string, names: readonly string[]): Promise<void> {
    this.calls.push(call);
    await this.gate;
    const poison = names.find((name) => this.poisoned.has(name));
    if (poison !== undefined) throw new TsnetError(`the kernel refuses ${poison}`, { code: "program" });
    if (this.failing === 0) return;
    this.failing--;
    throw new TsnetError("it fails", { code: "program" });
  }
}

const rules: readonly PortRules[] = [];

/** A table of these services. */
export function tableOf(names: readonly string[]): Table {
  return {
    services: new Map(names.map((name) => [name, rules])),
    serviceCIDRs: [],
    node: { podCIDRs: [], addresses: [] },
  };
}

/** These services appeared. */
export function added(...names: readonly string[]): ReadonlyMap<string, ServiceChange> {
  return new Map(names.map((name) => [name, { before: undefined, after: rules }]));
}

/** What a state would hand out, for families of the same tables. */
export function pendingOf(table: Table, changes: ReadonlyMap<string, ServiceChange>): Pending {
  const both = <T>(value: T) =>
    new Map<4 | 6, T>([
      [4, value],
      [6, value],
    ]);
  return {
    tables: both(table),
    changes: both(changes),
    factsChanged: false,
    triggers: [],
    serviceChanges: changes.size,
    endpointChanges: 0,
    healthChecks: new Map(),
    noLocalEndpoints: { internal: 0, external: 0 },
    udp: new Map(),
    tcp: new Map(),
  };
}

/** A log, and the lines that were written to it. */
export function logged(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  return { log: openLog({ format: "text", verbosity: 10, write: (line) => lines.push(line) }), lines };
}
