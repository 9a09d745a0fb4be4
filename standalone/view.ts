/**
 * What `ps` and `inspect` show: the state as it is now, in words.
 *
 * @module
 */
import { isRunning } from "./container/stop.ts";
import { formatPorts } from "./file/ports.ts";
import { formatRoute } from "./file/rules.ts";
import type { HostFacts } from "./host/facts.ts";
import { isHeldBy } from "./host/listeners.ts";
import { isThere } from "./networks/foreign.ts";
import { toPort } from "./plan/ports.ts";
import type { ContainerRecord, NetworkRecord } from "./state/records.ts";

export interface ContainerView {
  readonly project: string;
  readonly name: string;
  /**
   * `exited (N)`: with its exit code, or 128 and the signal's number; `?` if nobody was there to hear it. `incomplete`: an `up` was cut off; run it again, or `down`.
   * Of what tsnet did not start: `connected`, or `gone`.
   */
  readonly status: "running" | `exited (${number | "?"})` | "incomplete" | "connected" | "gone";
  readonly pid?: number;
  /** When it was started, ISO 8601. */
  readonly startedAt?: string;
  /** `bridge`, `host`, `none` or `container:NAME`. */
  readonly network: string;
  readonly interfaces: readonly InterfaceView[];
  /** `8080->80/tcp`, ranges as one. */
  readonly ports: readonly string[];
  readonly command: readonly string[];
  /** What does not work though the container runs. */
  readonly warnings: readonly string[];
}

export interface InterfaceView {
  readonly name: string;
  /** `PROJECT.NETWORK`. */
  readonly network: string;
  /** `10.88.1.2/24`. */
  readonly addresses: readonly string[];
  readonly mac?: string;
}

export interface NetworkView {
  readonly id: string;
  readonly driver: "bridge";
  readonly bridge: string;
  readonly subnets: readonly string[];
  readonly gateways: readonly string[];
  readonly mtu?: number;
  readonly masquerade: boolean;
  readonly internal: boolean;
  readonly range?: string;
  /** `10.20.0.0/16 via 10.88.1.5`. */
  readonly routes?: readonly string[];
  /** Networks that it is open to; `*`: all. */
  readonly open?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string | number | boolean>>;
  /** Made by command, and there until it is removed. */
  readonly stays: boolean;
  /** Path of the list that shows it to container runtimes. */
  readonly conflist?: string;
  /** Names of containers, and their addresses. */
  readonly containers: Readonly<Record<string, readonly string[]>>;
}

/** One container as it is now. */
export function viewContainer(record: ContainerRecord, facts: Pick<HostFacts, "listeners" | "ownerOf">): ContainerView {
  const running = isRunning(record);
  const { attachments, process, startedAt, joins } = record;
  return {
    project: record.project,
    name: record.name,
    status: record.network === "foreign" ? foreignStatus(record) : statusOf(record, running),
    ...(running && process !== undefined ? { pid: process.pid } : {}),
    ...(startedAt === undefined ? {} : { startedAt: new Date(startedAt).toISOString() }),
    network: joins === undefined ? record.network : `container:${joins}`,
    interfaces: attachments.map(({ ifname, network, addresses, mac }) => ({
      name: ifname,
      network,
      addresses: addresses ?? [],
      ...(mac === undefined ? {} : { mac }),
    })),
    ports: formatPorts(record.ports.map(toPort)),
    command: record.start.command,
    warnings: running ? takenPorts(record, facts) : [],
  };
}

function statusOf({ phase, exit }: ContainerRecord, running: boolean): ContainerView["status"] {
  if (phase === "making") return "incomplete";
  return running ? "running" : `exited (${exit?.code ?? "?"})`;
}

function foreignStatus(record: ContainerRecord): ContainerView["status"] {
  return isThere(record) ? "connected" : "gone";
}

/** One network as it is now. */
export function viewNetwork(network: NetworkRecord, containers: readonly ContainerRecord[]): NetworkView {
  const { id, bridge, subnets, gateways, masquerade, mtu, range, routes, open, labels, options, conflist } = network;
  const on = containers.flatMap(({ name, attachments }) =>
    attachments.filter((one) => one.network === id).map(({ addresses }) => [name, addresses ?? []] as const),
  );
  return {
    id,
    driver: "bridge",
    bridge,
    subnets,
    gateways,
    masquerade,
    internal: network.internal === true,
    ...(mtu === undefined ? {} : { mtu }),
    ...(range === undefined ? {} : { range }),
    ...(routes === undefined ? {} : { routes: routes.map(formatRoute) }),
    ...(open === undefined ? {} : { open }),
    ...(labels === undefined ? {} : { labels }),
    options,
    stays: network.stays === true,
    ...(conflist === undefined ? {} : { conflist }),
    containers: Object.fromEntries(on),
  };
}

/** How long ago `startedAt` (ISO 8601) was: `42s`, `5m`, `3h`, `12d`. */
export function age(startedAt: string | undefined, now = Date.now()): string {
  if (startedAt === undefined) return "";
  const seconds = Math.max(0, Math.floor((now - Date.parse(startedAt)) / 1000));
  if (seconds < 100) return `${seconds}s`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 360_000) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** A program can bind a published port after us without an error; it gets no traffic then. */
function takenPorts(
  { ports }: ContainerRecord,
  { listeners, ownerOf }: Pick<HostFacts, "listeners" | "ownerOf">,
): readonly string[] {
  return ports.map(toPort).flatMap((port) => {
    const listener = listeners.find((one) => isHeldBy(one, port));
    if (listener === undefined) return [];
    return [
      `${ownerOf(listener) ?? "a program"} has taken host port ${port.hostPort}/${port.protocol} since, and gets no traffic from outside`,
    ];
  });
}
