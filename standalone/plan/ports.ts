/**
 * Host ports that are to be published and that somebody has.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { formatAddress, parseAddress } from "../../lib/net/address.ts";
import { collide, formatHostPort } from "../file/ports.ts";
import type { PublishedPort } from "../file/project.ts";
import type { HostFacts } from "../host/facts.ts";
import { isHeldBy } from "../host/listeners.ts";
import type { ContainerRecord, PortRecord } from "../state/records.ts";

/** A port as a value again. */
export function toPort({ hostIp, chosen: _, ...port }: PortRecord): PublishedPort {
  return { ...port, ...(hostIp === undefined ? {} : { hostIp: parseAddress(hostIp) }) };
}

/** @throws TsnetError `conflict` naming who has the port. */
export function checkPorts(
  wanted: readonly ContainerRecord[],
  {
    running,
    facts,
  }: { readonly running: readonly ContainerRecord[]; readonly facts: Pick<HostFacts, "listeners" | "ownerOf"> },
): void {
  for (const { name, ports } of wanted) {
    for (const port of ports.map(toPort)) {
      const holder = running.find((other) => other.ports.some((there) => collide(port, toPort(there))));
      if (holder !== undefined) throw taken(name, port, `container ${holder.name} of project ${holder.project} has it`);
      const listener = facts.listeners.find((one) => isHeldBy(one, port));
      if (listener === undefined) continue;
      throw taken(
        name,
        port,
        `${facts.ownerOf(listener) ?? "a program"} listens on ${formatAddress(listener.address)} there`,
      );
    }
  }
}

function taken(container: string, port: PublishedPort, by: string): TsnetError {
  return new TsnetError(`container ${container} cannot have host port ${formatHostPort(port)}: ${by}; choose another`, {
    code: "conflict",
    op: "plan",
  });
}
