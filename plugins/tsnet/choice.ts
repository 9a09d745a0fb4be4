/**
 * The packet filter, chosen once for all parts.
 *
 * @module
 */
import type { Firewall } from "../../lib/firewall/types.ts";
import type { Kit } from "../../lib/plugin/kit.ts";

/** Opens the filter for each wish at most once. */
export function chooseOnce(): Kit["firewall"] {
  const chosen = new Map<string, Promise<Firewall>>();
  return (wanted) => {
    const there = chosen.get(wanted ?? "");
    if (there !== undefined) return there;
    const firewall = import("../../lib/firewall/firewall.ts").then(({ chooseFirewall }) => chooseFirewall(wanted));
    chosen.set(wanted ?? "", firewall);
    return firewall;
  };
}
