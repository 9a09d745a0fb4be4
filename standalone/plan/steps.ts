/**
 * A plan in words: what `up --dry-run` shows, and what `up` says that it had to do otherwise than one may think.
 *
 * @module
 */
import type { NetworkRecord } from "../state/records.ts";
import type { Plan } from "./plan.ts";

export interface Step {
  readonly what: "network" | "container";
  readonly name: string;
  /** `remake`: what cannot be changed while it is there goes and comes back. */
  readonly action: "make" | "remove" | "remake" | "change" | "repair";
  /** Why, or in which way. */
  readonly how: string;
}

/** The steps of a plan; none if all is as the file says. */
export function stepsOf(plan: Plan): readonly Step[] {
  const again = new Set(plan.addNetworks.map(({ id }) => id));
  const before = new Set(plan.removeNetworks.map(({ id }) => id));
  const added = new Set(plan.addContainers.map(({ name }) => name));
  const gone = plan.removeContainers.filter(({ name }) => !added.has(name));
  const step = (what: Step["what"], name: string, action: Step["action"], how: string): Step => ({
    what,
    name,
    action,
    how,
  });
  return [
    ...plan.removeNetworks
      .filter(({ id }) => !again.has(id))
      .map(({ name }) => step("network", name, "remove", "no container of the file is on it")),
    ...plan.addNetworks.map((network) =>
      before.has(network.id)
        ? step("network", network.name, "remake", `the file says otherwise of it; ${placeOf(network)}`)
        : step("network", network.name, "make", placeOf(network)),
    ),
    ...plan.openNetworks.map(({ name }) => step("network", name, "change", "lets in others than before")),
    ...gone.map(({ name }) => step("container", name, "remove", "it is not in the file")),
    ...plan.repair.map(({ record, damage }) => step("container", record.name, "repair", damage)),
    ...plan.change
      .filter(({ what, leave, join }) => what.length + leave.length + join.length > 0)
      .map(({ to, what }) => step("container", to.name, "change", what.join(", ") || "joins its networks")),
    ...plan.addContainers.map(({ name, start }) => {
      const why = plan.reasons.get(name);
      return why === undefined
        ? step("container", name, "make", start.command.join(" "))
        : step("container", name, "remake", why);
    }),
  ];
}

function placeOf({ subnets, bridge }: NetworkRecord): string {
  return `${subnets.join(" and ")} on bridge ${bridge}`;
}
