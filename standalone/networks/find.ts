/**
 * Networks by the name that people type: `front` is the one that a command made, or the only one of that name that
 * some project has; `PROJECT.front` is always one.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { COMMAND_PROJECT } from "../file/project.ts";
import { idOf } from "../plan/names.ts";
import type { NetworkRecord } from "../state/records.ts";

/** @throws TsnetError `not-found` naming those that there are; `conflict` if several projects have one of that name. */
export function findNetwork(networks: readonly NetworkRecord[], name: string): NetworkRecord {
  const exact = networks.find(({ id }) => id === name || id === idOf(COMMAND_PROJECT, name));
  if (exact !== undefined) return exact;
  const [found, ...others] = networks.filter((network) => network.name === name);
  if (found === undefined) throw unknown(networks, name);
  if (others.length === 0) return found;
  const all = [found, ...others].map(({ id }) => id);
  throw new TsnetError(`network ${name} could be ${all.join(" or ")}: write it with its project`, {
    code: "conflict",
    op: "find network",
  });
}

/** The name to type: without its project where a command made it. */
export function shortName({ id, project, name }: NetworkRecord): string {
  return project === COMMAND_PROJECT ? name : id;
}

function unknown(networks: readonly NetworkRecord[], name: string): TsnetError {
  const message =
    name === "host" || name === "none"
      ? `${name} is a way to do without a network, not one: tsnet run --network ${name}, or network: ${name} in a file`
      : `no network ${name}: ${thereAre(networks)}`;
  return new TsnetError(message, { code: "not-found", op: "find network" });
}

function thereAre(networks: readonly NetworkRecord[]): string {
  return networks.length === 0 ? "there are none" : `there are ${networks.map(shortName).join(", ")}`;
}
