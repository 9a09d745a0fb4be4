/**
 * The services that the kernel refuses: left out of every table until they change.
 *
 * A back end sees them as absent, and a later change of theirs as one from absence.
 *
 * @module
 */
import type { ServiceChange, Table } from "../table/types.ts";

export class Excluded {
  readonly #reasons = new Map<string, string>();

  /** Why, by service. */
  get reasons(): ReadonlyMap<string, string> {
    return this.#reasons;
  }

  add(service: string, reason: string): void {
    this.#reasons.set(service, reason);
  }

  clear(): void {
    this.#reasons.clear();
  }

  /** Forgets the services that changed, and returns the changes as a back end has to see them. */
  adjust(changes: ReadonlyMap<string, ServiceChange>): ReadonlyMap<string, ServiceChange> {
    const again = [...this.#reasons.keys()].filter((service) => changes.has(service));
    if (again.length === 0) return changes;
    const adjusted = new Map(changes);
    for (const service of again) {
      this.#reasons.delete(service);
      adjusted.set(service, { before: undefined, after: changes.get(service)?.after });
    }
    return adjusted;
  }

  /** The table without them; the very same one where there are none. */
  without(table: Table): Table {
    if (this.#reasons.size === 0) return table;
    const services = new Map(table.services);
    for (const service of this.#reasons.keys()) services.delete(service);
    return { ...table, services };
  }
}
