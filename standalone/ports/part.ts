/**
 * The helper's part for published ports: it holds them, so that no program binds one and waits for packets that never
 * come, and it relays what comes to [::1].
 *
 * @module
 */
import { joinErrors } from "../../lib/errors.ts";
import type { HelperPart, HelperView } from "../helper/view.ts";
import { type Held, hold } from "./hold.ts";
import { holdingsOf } from "./wanted.ts";

export function portsPart(): HelperPart {
  const held = new Map<string, Held>();
  return {
    async sync({ containers }: HelperView) {
      const wanted = holdingsOf(containers);
      for (const [key, one] of held) {
        if (wanted.has(key)) continue;
        one.close();
        held.delete(key);
      }
      const errors: unknown[] = [];
      for (const [key, holding] of wanted) {
        const there = held.get(key);
        if (there !== undefined) there.lead(holding);
        else
          await hold(holding).then(
            (one) => held.set(key, one),
            (error: unknown) => errors.push(error),
          );
      }
      if (errors.length > 0) throw joinErrors("hold ports", errors);
    },
    close() {
      for (const one of held.values()) one.close();
      held.clear();
    },
  };
}
