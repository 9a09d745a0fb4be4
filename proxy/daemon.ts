/**
 * All that runs while the proxy does, put together: objects come in on one side, rules, flows, ports and figures
 * follow from them on the other.
 *
 *     source → NodeTap → State → SyncLoop → FamilySync (one a family) → Backend
 *                                    └→ Aftermath → FlowCleaner, HealthCheckPorts, ProxyMetrics, ProxyHealth
 *     Watchdog, Auditor → FamilySync.invalidate → SyncLoop
 *
 * @module
 */
import type { Conntrack } from "../lib/conntrack/conntrack.ts";
import type { Clock } from "../lib/daemon/clock.ts";
import type { Listener } from "../lib/daemon/listener.ts";
import type { Log } from "../lib/daemon/log.ts";
import { collectGarbage, residentBytes } from "../lib/sys/memory.ts";
import { Aftermath } from "./aftermath.ts";
import type { Backend, BackendSettings, ProxyMode } from "./backend.ts";
import { FlowCleaner } from "./conntrack.ts";
import type { EventRecorder } from "./events.ts";
import { healthCheckAddresses } from "./health/addresses.ts";
import { ProxyHealth } from "./health/health.ts";
import { HealthCheckPorts } from "./health/node-ports.ts";
import { openServers } from "./health/servers.ts";
import { Housekeeper } from "./housekeeping.ts";
import { ProxyMetrics } from "./metrics.ts";
import { awaitsPodCIDR, localWarnings, podCIDRsOf, withBindAddress } from "./node/local.ts";
import type { NodeObject } from "./objects/objects.ts";
import type { ProxySettings } from "./settings.ts";
import type { Source } from "./source/source.ts";
import { State } from "./state/state.ts";
import { Auditor } from "./sync/audit.ts";
import { Connections } from "./sync/connections.ts";
import { FamilySync } from "./sync/family.ts";
import { Gate } from "./sync/gate.ts";
import { SyncLoop } from "./sync/loop.ts";
import { NodeTap } from "./sync/nodetap.ts";
import { type RulesEvents, Watchdog } from "./watchdog.ts";

export interface DaemonOptions {
  readonly settings: ProxySettings;
  readonly log: Log;
  readonly clock: Clock;
  readonly source: Source;
  readonly recorder: EventRecorder;
  readonly mode: ProxyMode;
  /** One a family, at least one. */
  readonly backends: readonly Backend[];
  /** Where node ports are, of each family. */
  readonly nodePorts: readonly BackendSettings["nodePortAddresses"][];
  readonly conntrack: Conntrack;
  /** The addresses that this host has at the moment. */
  readonly localAddresses: () => ReadonlySet<string>;
  /** Undefined: the kernel does not tell who changed rules. */
  readonly events: RulesEvents | undefined;
  /** Ms. */
  readonly auditPeriod: number;
  /** Called after the first sync that succeeded in every family. */
  readonly firstSuccess: () => Promise<void>;
}

export interface Daemon {
  /** Rejects if it cannot go on; never resolves. */
  readonly failed: Promise<never>;
  /** Resolves when everything was brought and what is stale removed, or with false when that failed a few times. */
  brought(): Promise<boolean>;
  /** Stops everything and leaves the rules as they are. */
  stop(): Promise<void>;
}

// As kube-proxy: a kubelet may take a moment to register its node, an allocator longer.
const PATIENCE = { addresses: 30_000, podCIDRs: 5 * 60_000 };
// With a directory there is nobody who registers a node: it is there or is not.
const NO_PATIENCE = { addresses: 0, podCIDRs: undefined };
// A program that is in the middle of something gets as long to finish.
const STOP_MS = 5000;

/**
 * Serves health and metrics, and begins.
 *
 * @throws TsnetError `conflict`, `io` for a server's address with `bindAddressHardFail`; what the source throws.
 */
export function startDaemon(options: DaemonOptions): Daemon {
  const { source, recorder } = options;
  const core = assemble(options);
  const servers = openServers({ ...options, ...core });
  recorder.record({ type: "Normal", reason: "Starting", action: "StartKubeProxy", note: "" });
  source.start(core.tap);
  core.watchdog.start();
  core.auditor.start();
  return { failed: core.failed, brought: () => brought(core), stop: () => stop(options, core, servers) };
}

async function brought({ aftermath, loop, cleaner, families }: Core): Promise<boolean> {
  if (!(await aftermath.outcome)) return false;
  await loop.settled();
  await cleaner.settled();
  return families.every(({ refused }) => refused.size === 0);
}

type Core = ReturnType<typeof assemble>;

async function stop({ source, clock }: DaemonOptions, core: Core, servers: Listener): Promise<void> {
  const { gate, watchdog, auditor, cleaner, housekeeper, ports, loop } = core;
  for (const part of [gate, servers, ports]) part.close();
  for (const part of [watchdog, auditor, cleaner, housekeeper]) part.stop();
  const stopped = Promise.all([loop.stop(), source.stop()]).then(() => {});
  await Promise.race([stopped, new Promise<void>((resolve) => clock.after(STOP_MS, resolve))]);
}

function assemble(options: DaemonOptions) {
  const { settings, log, clock } = options;
  const random = Math.random;
  const families = options.backends.map(
    (backend) => new FamilySync({ backend, log, clock, random, syncPeriod: settings.syncPeriod }),
  );
  const objects = takeObjects(options, () => request());
  const reporters = openReporters(options, objects);
  const { metrics, health } = reporters;
  const aftermath = new Aftermath({
    ...{ log, firstSuccess: options.firstSuccess, moreWaits: () => loop.waiting, ...reporters },
  });
  const housekeeper = new Housekeeper({ clock, resident: residentBytes, collect: collectGarbage });
  const loop: SyncLoop = new SyncLoop({
    ...{ clock, families, minSyncPeriod: settings.minSyncPeriod },
    ready: () => objects.gate.open,
    take: () => objects.state.take(),
    synced(pending, results) {
      aftermath.synced(pending, results);
      housekeeper.worked();
    },
  });
  const request = () => {
    if (!objects.gate.open) return;
    for (const { family } of families) {
      metrics.queued(family);
      health.queued(family);
    }
    loop.request();
  };
  const auditor = new Auditor({
    ...{ families, clock, log, random, request, period: options.auditPeriod },
    audited: (family, result, found) => metrics.audited(family, result, found.length),
  });
  const watchdog = new Watchdog({
    ...{ families, clock, log, request, events: options.events },
    repaired: (family) => metrics.repaired(family),
  });
  return { ...objects, ...reporters, aftermath, housekeeper, loop, auditor, watchdog, families };
}

/** What is known, and when that is enough to begin with. */
function takeObjects(options: DaemonOptions, request: () => void) {
  const { settings, log, clock } = options;
  const failure = Promise.withResolvers<never>();
  const connected = new Map<string, boolean>();
  const connections = new Connections(log, (kind, up) => connected.set(kind, up));
  const state: State = new State({
    nodeName: settings.nodeName,
    families: options.backends.map(({ family }) => family),
    log: (level, message, fields) =>
      level === "debug" ? log.debug(4, message, { ...fields }) : log[level](message, { ...fields }),
    changed: request,
    podCIDRs: (node) => podCIDRsOf(settings, node),
    flushTcp: settings.flushTcp,
    onConnection: (kind, up, reason) => connections.report(kind, up, reason),
  });
  const adjust = (node: NodeObject) => withBindAddress(settings, node);
  const tap = new NodeTap({ to: state, nodeName: settings.nodeName, adjust });
  const gate = new Gate({
    delivered: () => state.ready,
    node: () => state.node,
    awaitsPodCIDR: () => awaitsPodCIDR(settings, state.node),
    patience: settings.source.kind === "kubernetes" ? PATIENCE : NO_PATIENCE,
    opened() {
      // Only now it is known what the node has.
      for (const warning of localWarnings(settings, state.node)) log.warn(warning);
      request();
    },
    ...{ clock, log, gaveUp: failure.reject },
  });
  return { state, tap, gate, connected, failed: failure.promise };
}

/** Whatever tells the world, or follows from what was synced. */
function openReporters(options: DaemonOptions, { state, tap, connected }: ReturnType<typeof takeObjects>) {
  const { settings, log, clock, recorder, localAddresses, mode } = options;
  const families = options.backends.map(({ family }) => family);
  const waiting = () => ({ ...state.waiting, malformed: state.malformedObjects, connected });
  const metrics = new ProxyMetrics({ mode, families, waiting });
  const health = new ProxyHealth({ timeout: 2 * settings.syncPeriod, now: clock.wall, node: () => tap.node });
  const cleaner = new FlowCleaner({
    ...{ conntrack: options.conntrack, log, localAddresses },
    cleaned: (family, deleted, ms) => metrics.flowsDeleted(family, deleted, ms),
  });
  const ports = new HealthCheckPorts({
    ...{ log, clock, healthy: () => health.healthy },
    addresses: () => healthCheckAddresses(options.nodePorts, state.node?.addresses ?? [], localAddresses()),
    failed(service, port, reason) {
      const note = `node ${settings.nodeName} failed to start healthcheck "${service}" on port ${port}: ${reason}`;
      recorder.record({ type: "Warning", reason: "FailedToStartServiceHealthcheck", action: "Listen", note, service });
    },
  });
  return { metrics, health, cleaner, ports };
}
