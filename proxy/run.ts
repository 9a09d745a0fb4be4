/**
 * The proxy from its settings to its end.
 *
 * @module
 */
import { networkInterfaces } from "node:os";
import { realConntrack } from "../lib/conntrack/conntrack.ts";
import { systemClock } from "../lib/daemon/clock.ts";
import type { Log } from "../lib/daemon/log.ts";
import { signalled } from "../lib/daemon/signals.ts";
import { messageOf } from "../lib/errors.ts";
import { formatAddress, parseAddress } from "../lib/net/address.ts";
import { nftEvents } from "../lib/nft/events.ts";
import type { BackendSettings, ProxyMode } from "./backend.ts";
import { cleanOthers } from "./cleanup.ts";
import { type DaemonOptions, startDaemon } from "./daemon.ts";
import { dryRun } from "./dryrun.ts";
import { backendSettings } from "./node/backend.ts";
import { prepareNode } from "./node/prepare.ts";
import { openLocalhost } from "./node/sysctls.ts";
import type { ProxySettings } from "./settings.ts";
import { openSource } from "./source/open.ts";

// What nobody notices by other means is noticed by then; at scale an audit takes seconds of CPU.
const AUDIT_PERIOD_MS = 5 * 60_000;

export interface RunOptions {
  /** Resolves, with false, when the settings are not valid any more: it ends with 1, to be started anew. */
  readonly replaced?: Promise<false>;
  /** Ms between two audits. */
  readonly auditPeriod?: number;
}

/**
 * Proxies until it is told to end, by SIGTERM or SIGINT, and leaves the rules in place; or only once, or only shows
 * what it would do, where the settings say so. Returns the exit code.
 *
 * @throws TsnetError for what keeps it from beginning.
 */
export async function runProxy(
  settings: ProxySettings,
  log: Log,
  { replaced = new Promise(() => {}), auditPeriod = AUDIT_PERIOD_MS }: RunOptions = {},
): Promise<number> {
  const told = signalled();
  const { mode, families } = await prepareNode(settings, log);
  const wanted = families.map((family) => backendSettings(settings, mode, family));
  const { backends, events } = await openBackends(mode, wanted, log);
  const { source, recorder } = await openSource(settings, log);
  if (settings.dryRun) return Promise.race([dryRun({ settings, log, source, backends }), told.then(() => 1)]);
  const daemon = startDaemon({
    ...{ settings, log, source, recorder, mode, backends, events },
    clock: systemClock,
    nodePorts: wanted.map(({ nodePortAddresses }) => nodePortAddresses),
    conntrack: realConntrack(),
    localAddresses,
    auditPeriod,
    async firstSuccess() {
      if (wanted.some(({ localhostNodePorts }) => localhostNodePorts)) openLocalhost(log);
      await cleanOthers(mode, log);
    },
  });
  try {
    const once = settings.source.kind === "manifests" && settings.source.once;
    const ended = await Promise.race([told, replaced, daemon.failed, ...(once ? [daemon.brought()] : [])]);
    if (typeof ended === "string") log.info("stopping: the rules stay in place", { signal: ended });
    return ended === false ? 1 : 0;
  } catch (error) {
    log.error(messageOf(error));
    return 1;
  } finally {
    await daemon.stop();
  }
}

/** The back ends of the one mode, whose code alone is loaded, and how changes of rules by others are heard of. */
async function openBackends(
  mode: ProxyMode,
  wanted: readonly BackendSettings[],
  log: Log,
): Promise<Pick<DaemonOptions, "backends" | "events">> {
  if (mode === "nftables") {
    const { nftablesBackend } = await import("./nftables/backend.ts");
    return { backends: wanted.map((settings) => nftablesBackend(settings, log)), events: nftEvents() };
  }
  const { iptablesBackend } = await import("./iptables/backend.ts");
  const backends = await Promise.all(wanted.map((settings) => iptablesBackend(settings, log)));
  const told = backends.every(({ variant }) => variant === "nft");
  return { backends, events: told ? nftEvents() : undefined };
}

function localAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return new Set(all.map(({ address }) => formatAddress(parseAddress(address.replace(/%.*/, "")))));
}
