/**
 * Whether the source hears of changes, a line each time that it changes and a metric.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import type { Kind } from "../source/source.ts";

export class Connections {
  readonly #log: Log;
  readonly #changed: (kind: Kind, up: boolean) => void;
  readonly #down = new Set<Kind>();

  constructor(log: Log, changed: (kind: Kind, up: boolean) => void) {
    this.#log = log;
    this.#changed = changed;
  }

  report(kind: Kind, state: "up" | "down", reason: string | undefined): void {
    this.#changed(kind, state === "up");
    if (state === "up") {
      if (this.#down.delete(kind)) this.#log.info("changes are heard of again", { kind });
      return;
    }
    if (this.#down.has(kind)) this.#log.debug(3, "changes are still not heard of", { kind, reason });
    else this.#log.warn("changes are not heard of: what is known holds on", { kind, reason });
    this.#down.add(kind);
  }
}
