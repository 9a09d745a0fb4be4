/**
 * Host ports that nobody named: free ones are chosen, when everything that is named is known.
 *
 * A container that is made again has the port that it had, if that is still free. Otherwise the search begins where
 * its name says, so that it mostly finds the same one after a `down` and an `up`, too.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { collide } from "../file/ports.ts";
import type { PublishedPort } from "../file/project.ts";
import type { HostFacts } from "../host/facts.ts";
import { isHeldBy } from "../host/listeners.ts";
import type { ContainerRecord, PortRecord } from "../state/records.ts";
import { portMappings } from "./container.ts";
import { toPort } from "./ports.ts";

/** Dynamic ports as RFC 6335 has them, section 6. */
const FIRST = 49152;
const COUNT = 65536 - FIRST;

export interface Choosing {
  /** Containers that keep their ports. */
  readonly running: readonly ContainerRecord[];
  /** What the new ones were before, if they were. */
  readonly before: readonly ContainerRecord[];
  readonly facts: Pick<HostFacts, "listeners">;
}

/** The containers with a host port wherever they left it open. @throws TsnetError `conflict` if none is free. */
export function choosePorts(
  wanted: readonly ContainerRecord[],
  { running, before, facts }: Choosing,
): readonly ContainerRecord[] {
  const taken = [...wanted, ...running].flatMap(({ ports }) => ports.map(toPort));
  const isFree = (port: PublishedPort) =>
    !taken.some((other) => collide(port, other)) && !facts.listeners.some((one) => isHeldBy(one, port));
  return wanted.map((record) => {
    if (record.ports.every(({ hostPort }) => hostPort !== 0)) return record;
    const had = before.find(({ name }) => name === record.name)?.ports ?? [];
    const ports = record.ports.map((port): PortRecord => {
      if (port.hostPort !== 0) return port;
      const hostPort = chooseFor(record, port, had, isFree);
      taken.push(toPort({ ...port, hostPort }));
      return { ...port, hostPort, chosen: true };
    });
    return withPorts(record, ports);
  });
}

function chooseFor(
  { id, name }: ContainerRecord,
  port: PortRecord,
  had: readonly PortRecord[],
  isFree: (port: PublishedPort) => boolean,
): number {
  const earlier = had.filter((one) => one.chosen && sameAsked(one, port)).map(({ hostPort }) => hostPort);
  const start = Bun.hash.crc32(`${id} ${port.containerPort}`) % COUNT;
  for (let at = -earlier.length; at < COUNT; at++) {
    const hostPort = earlier[at + earlier.length] ?? FIRST + ((start + at) % COUNT);
    if (isFree(toPort({ ...port, hostPort }))) return hostPort;
  }
  throw new TsnetError(`container ${name}: no port of the host from ${FIRST} on is free: name one`, {
    code: "conflict",
    op: "plan",
  });
}

function sameAsked(one: PortRecord, other: PortRecord): boolean {
  return one.containerPort === other.containerPort && one.protocol === other.protocol && one.hostIp === other.hostIp;
}

function withPorts(record: ContainerRecord, ports: readonly PortRecord[]): ContainerRecord {
  const attachments = record.attachments.map((one) => {
    if (one.capabilityArgs.portMappings === undefined) return one;
    return { ...one, capabilityArgs: { ...one.capabilityArgs, portMappings: portMappings(ports) } };
  });
  return { ...record, attachments, ports };
}
