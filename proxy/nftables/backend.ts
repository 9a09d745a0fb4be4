/**
 * The nftables back end: one table of our own a family, `tsnet-proxy`, in which a change is a few elements. All of it
 * goes to the kernel as one transaction, by netlink: `nft` is not needed, and nobody else's table is read.
 *
 * Calls do their work before they return, but for {@link Backend.audit}: no two of them are ever in each other's way.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { isTsnetError, messageOf } from "../../lib/errors.ts";
import { refusalError } from "../../lib/nft/elementtext.ts";
import { NftBatch } from "../../lib/nft/nftbatch.ts";
import { readTable } from "../../lib/nft/reading.ts";
import { NfSocket } from "../../lib/sys/nfsocket.ts";
import type { Applied, Backend, BackendSettings } from "../backend.ts";
import type { ServiceChange, Table } from "../table/types.ts";
import { purgeAffinity } from "./affinity.ts";
import { auditElements, nothingCommitted } from "./audit.ts";
import { chainContext } from "./base.ts";
import { writeChange } from "./change.ts";
import type { Committed } from "./committed.ts";
import { LAYOUT, writeFull } from "./full.ts";
import { renderTable } from "./render.ts";
import { listSets, type ProxySet, tableOf } from "./sets.ts";
import { stickyOf } from "./sticky.ts";
import { removeStale, sweepTable } from "./sweep.ts";
import { type Glance, looksSame, takeGlance } from "./watch.ts";

/** A back end for the namespace that the process is in. */
export function nftablesBackend(settings: BackendSettings, log: Log): Backend {
  return new NftablesBackend(settings, log);
}

class NftablesBackend implements Backend {
  readonly mode = "nftables";
  readonly family: 4 | 6;
  readonly #settings: BackendSettings;
  readonly #log: Log;
  readonly #at: ReturnType<typeof tableOf>;
  /** Kept open: to close one waits for what the kernel still frees. */
  #socket: NfSocket | undefined;
  #committed: Committed | undefined;
  #glance: Glance | undefined;

  constructor(settings: BackendSettings, log: Log) {
    this.family = settings.family;
    this.#settings = settings;
    this.#log = log;
    this.#at = tableOf(settings.family);
  }

  async replace(table: Table): Promise<Applied> {
    this.#forget();
    // What is there is emptied and filled, though to make it anew costs the kernel less: clients keep their endpoints,
    // and no packet finds the new chains not yet filled and then the old ones gone, as hooks of one priority are run
    // newest first.
    if (readTable(this.#door, this.#at) !== LAYOUT) return this.#replace(table, true);
    try {
      return this.#replace(table, false);
    } catch (error) {
      // Somebody made our sets or chains something else.
      if (!isTsnetError(error)) throw error;
      this.#log.warn("the table that is there cannot be kept: making it anew, so that clients may change endpoints", {
        table: `${this.#at.family} ${this.#at.table}`,
        reason: messageOf(error),
      });
      return this.#replace(table, true);
    }
  }

  async update(table: Table, changes: ReadonlyMap<string, ServiceChange>): Promise<Applied> {
    const committed = this.#committed;
    if (committed === undefined) throw nothingCommitted();
    this.#forget();
    const batch = new NftBatch();
    const { changed, chainsChanged, purge, departures, commit } = writeChange(batch, committed, table, changes);
    const written = batch.elements + (departures?.elements ?? 0);
    if (departures !== undefined) this.#send(departures, committed);
    purgeAffinity(this.#door, purge);
    if (changed) this.#send(batch, committed);
    commit();
    const swept = removeStale(this.#door, committed);
    this.#remember(committed, chainsChanged || swept);
    return { written, changed };
  }

  async sweep(): Promise<void> {
    const committed = this.#committed;
    if (committed === undefined) return;
    if (sweepTable(this.#door, this.#settings, committed)) this.#remember(committed, true);
  }

  async present(): Promise<boolean> {
    return readTable(this.#door, this.#at) !== undefined;
  }

  async intact(): Promise<boolean> {
    if (this.#committed === undefined || this.#glance === undefined) return false;
    return looksSame(this.#door, this.#committed, this.#glance);
  }

  async audit(): Promise<readonly string[]> {
    const committed = this.#committed;
    if (committed === undefined) throw nothingCommitted();
    const rules = (await this.intact()) ? [] : ["chains, rules or numbers of elements are not as they were committed"];
    // A socket of its own, since others go on while the dump is read.
    const socket = new NfSocket();
    try {
      const lines = await auditElements(socket, committed);
      return lines.length > 0 ? lines : rules;
    } finally {
      socket.close();
    }
  }

  render(table: Table): string {
    return renderTable(this.#settings, table);
  }

  async remove(): Promise<void> {
    this.#forget();
    const batch = new NftBatch();
    batch.addTable(this.#at);
    batch.deleteTable(this.#at);
    this.#send(batch, undefined);
  }

  #replace(table: Table, fresh: boolean): Applied {
    const context = chainContext(this.#settings, table.node);
    const batch = new NftBatch(bytesOf(table));
    const committed = writeFull(batch, { settings: this.#settings, context, table }, fresh);
    this.#send(batch, committed);
    if (!fresh) this.#purgeAll(committed);
    this.#remember(committed, true);
    return { written: batch.elements, changed: true };
  }

  /** What clients of an earlier life were used to may have gone since. */
  #purgeAll({ table, context }: Committed): void {
    for (const ports of table.services.values()) {
      for (const rules of ports) {
        if (rules.affinitySeconds !== undefined) purgeAffinity(this.#door, stickyOf(rules, context)?.affinity ?? []);
      }
    }
  }

  #send(batch: NftBatch, committed: Committed | undefined): void {
    const refused = batch.send(this.#door);
    if (refused === undefined) return;
    throw refusalError(refused, (name) => setNamed(name, committed));
  }

  #remember(committed: Committed, chainsChanged: boolean): void {
    this.#committed = committed;
    this.#glance = takeGlance(this.#door, committed, chainsChanged ? undefined : this.#glance);
  }

  #forget(): void {
    this.#committed = undefined;
  }

  get #door(): NfSocket {
    this.#socket ??= new NfSocket();
    return this.#socket;
  }
}

function setNamed(name: string, committed: Committed | undefined): ProxySet | undefined {
  if (committed === undefined) return undefined;
  return listSets(committed.context.sets).find((set) => set.name === name);
}

// An estimate, so that the buffer need not grow, and be copied, too often.
const ELEMENT_BYTES = 64;

function bytesOf({ services }: Table): number {
  let elements = 0;
  for (const ports of services.values()) {
    for (const { frontends, endpoints, local } of ports) {
      elements += 2 + frontends.length * (1 + endpoints.length + local.length);
    }
  }
  return 65_536 + elements * ELEMENT_BYTES;
}
