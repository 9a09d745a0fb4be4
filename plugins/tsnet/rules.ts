/**
 * The packet filter of an ADD by several parts: what all of them wish goes there in one transaction, which begins as
 * soon as the addresses are known and runs beside the parts' work on links. Whether it went well is told at the end.
 *
 * @module
 */
import type { Attachment } from "../../lib/cni/types.ts";
import type { Backend, Firewall, Part, Wishes } from "../../lib/firewall/types.ts";
import type { FilterWishes, Kit } from "../../lib/plugin/kit.ts";

/** What goes to one back end. */
interface Batch {
  firewall: Firewall;
  /** Wished and not begun. */
  pending: Wishes;
  /** Begun, with what tells how it went. */
  begun: Wishes;
  running: Promise<void> | undefined;
}

export class Rules {
  readonly #attachment: Attachment;
  readonly #choose: Kit["firewall"];
  readonly #batches = new Map<Backend, Batch>();

  constructor(attachment: Attachment, choose: Kit["firewall"]) {
    this.#attachment = attachment;
    this.#choose = choose;
  }

  /** A firewall whose `attach` is done with the others' at the end, and whose `detach` takes all of it back. */
  async firewall(wanted?: Backend): Promise<Firewall> {
    const batch = await this.#batch(wanted);
    return {
      ...batch.firewall,
      attach: async (_attachment, wishes) => wish(batch, wishes),
      detach: () => this.takeBack(),
    };
  }

  /** Begins what is wished so far together with what will be. */
  async foresee(foreseen: readonly FilterWishes[]): Promise<void> {
    for (const { backend, wishes } of foreseen) wish(await this.#batch(backend), wishes);
    this.#begin();
    // Up to where it waits for a program, which then works beside what the parts do.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Returns when everything that was wished is in the filter. @throws TsnetError as `Firewall.attach`. */
  async finish(): Promise<void> {
    this.#begin();
    const results = await Promise.allSettled([...this.#batches.values()].map(({ running }) => running));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /** Removes whatever was begun. */
  async takeBack(): Promise<void> {
    for (const batch of this.#batches.values()) {
      batch.pending = {};
      await batch.running?.catch(() => {});
      const parts = Object.keys(batch.begun) as Part[];
      batch.begun = {};
      if (parts.length > 0) await batch.firewall.detach(this.#attachment, parts);
    }
  }

  /** One for each back end: who names it and who leaves the choice to us come together. */
  async #batch(wanted: Backend | undefined): Promise<Batch> {
    const firewall = await this.#choose(wanted);
    const there = this.#batches.get(firewall.backend);
    if (there === undefined) {
      const batch = { firewall, pending: {}, begun: {}, running: undefined };
      this.#batches.set(firewall.backend, batch);
      return batch;
    }
    // The one that was named does not turn to another where it does not work.
    if (wanted !== undefined) there.firewall = firewall;
    return there;
  }

  #begin(): void {
    for (const batch of this.#batches.values()) {
      const { pending, running } = batch;
      if (Object.keys(pending).length === 0) continue;
      batch.pending = {};
      batch.begun = { ...batch.begun, ...pending };
      const attach = () => batch.firewall.attach(this.#attachment, pending);
      // The first has started its work when this returns.
      batch.running = running === undefined ? attach() : running.then(attach);
      // It is looked at when the parts are through, or one of them failed.
      batch.running.catch(() => {});
    }
  }
}

/** What was begun as it is wished needs nothing more. */
function wish(batch: Batch, wishes: Wishes): void {
  const open = Object.entries(wishes).filter(([part, value]) => !Bun.deepEquals(batch.begun[part as Part], value));
  batch.pending = { ...batch.pending, ...Object.fromEntries(open) };
}
