/**
 * The helper's part for published ports: it holds them, so that no program binds one and waits for packets that never
 * come, and it relays what comes to [::1].
 *
 * @module
 */
import { realConntrack } from "../../lib/conntrack/conntrack.ts";
import { joinErrors } from "../../lib/errors.ts";
import { parseAddress } from "../../lib/net/address.ts";
import type { HelperPart, HelperView } from "../helper/view.ts";
import { type Held, hold } from "./hold.ts";
import { type Holding, holdingsOf } from "./wanted.ts";

export function portsPart(): HelperPart {
  return new Ports();
}

class Ports implements HelperPart {
  readonly #held = new Map<string, Held>();
  #targets: ReadonlySet<string> = new Set();

  async sync({ containers, ended }: HelperView): Promise<void> {
    // What is published leads to a container until that is stopped or removed, whether its command runs or not.
    const wanted = holdingsOf([...ended, ...containers]);
    for (const [key, one] of this.#held) if (!wanted.has(key)) this.#close(key, one);
    const errors: unknown[] = [];
    for (const holding of wanted.values()) {
      await this.#serve(holding).catch((error: unknown) => errors.push(error));
    }
    await this.#forgetAllBut(targetsOf(wanted)).catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw joinErrors("hold ports", errors);
  }

  close(): void {
    for (const [key, one] of this.#held) this.#close(key, one);
  }

  #close(key: string, held: Held): void {
    held.close();
    this.#held.delete(key);
  }

  async #serve(holding: Holding): Promise<void> {
    const there = this.#held.get(holding.key);
    if (there === undefined) this.#held.set(holding.key, await hold(holding));
    else there.lead(holding);
  }

  /** What was relayed last may have come to a container's address when its own flows had been forgotten already. */
  async #forgetAllBut(targets: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#targets].filter((address) => !targets.has(address)).map(parseAddress);
    this.#targets = targets;
    const conntrack = realConntrack();
    for (const address of gone) await conntrack.deleteFlows({ family: address.family, origDst: address });
  }
}

function targetsOf(holdings: ReadonlyMap<string, Holding>): ReadonlySet<string> {
  return new Set([...holdings.values()].flatMap(({ relays, target }) => (relays ? (target?.address ?? []) : [])));
}
