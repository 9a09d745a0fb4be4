/**
 * Which sockets hold the host ports of containers, and what the relays among them lead to. Pure.
 *
 * The packet filter leads published ports to their containers before any socket is asked. Sockets are there for two
 * reasons: nobody else shall take the port, and [::1] cannot be translated, so what comes there is relayed.
 *
 * @module
 */
import { type Address, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import type { PublishedPort } from "../file/project.ts";
import { toPort } from "../plan/ports.ts";
import type { ContainerRecord } from "../state/records.ts";

/** One address and port of the host. */
export interface Holding {
  /** Tells it from all others: `tcp 127.0.0.1 8080`. */
  readonly key: string;
  readonly protocol: "tcp" | "udp";
  /** Value 0: any of its family. */
  readonly address: Address;
  readonly port: number;
  /** Whether what comes to [::1] is relayed. */
  readonly relays: boolean;
  readonly container: string;
  /** Where to; undefined as long as the container has no address. */
  readonly target: { readonly address: string; readonly port: number } | undefined;
}

const ANY: readonly Address[] = [
  { family: 4, value: 0n },
  { family: 6, value: 0n },
];

/** SCTP is left out: not every host has its sockets. */
export function holdingsOf(containers: readonly ContainerRecord[]): ReadonlyMap<string, Holding> {
  const holdings = new Map<string, Holding>();
  for (const record of containers) {
    for (const port of record.ports.map(toPort)) {
      for (const holding of holdingsOfPort(record, port)) holdings.set(holding.key, holding);
    }
  }
  return holdings;
}

/** The addresses of the interface that a container's ports lead to, without prefix. */
export function publishedAddresses({ attachments }: ContainerRecord): readonly Address[] {
  const published = attachments.find(({ capabilityArgs }) => capabilityArgs.portMappings !== undefined);
  return ((published ?? attachments[0])?.addresses ?? []).map((cidr) => parseCidr(cidr).address);
}

function holdingsOfPort(record: ContainerRecord, port: PublishedPort): readonly Holding[] {
  const { protocol, hostPort, hostIp, containerPort } = port;
  if (protocol === "sctp") return [];
  const addresses = publishedAddresses(record);
  // By its own family where it can, else by the other, as it is the container's only one.
  const to = addresses.find(({ family }) => family === 6) ?? addresses[0];
  return (hostIp === undefined ? ANY : [hostIp]).map((address) => ({
    key: `${protocol} ${formatAddress(address)} ${hostPort}`,
    protocol,
    address,
    port: hostPort,
    relays: address.family === 6 && address.value <= 1n,
    container: record.name,
    target: to === undefined ? undefined : { address: formatAddress(to), port: containerPort },
  }));
}

/** `[::1]`, which a relay listens on. */
export const LOOPBACK: Address = parseAddress("::1");

/** Whether both are one place with one target. */
export function sameTarget(a: Holding, b: Holding): boolean {
  return a.target?.address === b.target?.address && a.target?.port === b.target?.port && a.container === b.container;
}
