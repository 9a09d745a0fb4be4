/**
 * The agent from its settings to its end.
 *
 * @module
 */
import { systemClock } from "../lib/daemon/clock.ts";
import type { Log } from "../lib/daemon/log.ts";
import { signalled } from "../lib/daemon/signals.ts";
import { messageOf } from "../lib/errors.ts";
import type { Family } from "../lib/net/address.ts";
import { RtSocket } from "../lib/netlink/socket.ts";
import { collectGarbage } from "../lib/sys/memory.ts";
import { notifyManager } from "../lib/sys/notify.ts";
import { Agent } from "./agent.ts";
import { claimOf } from "./claim.ts";
import { Health, openServers } from "./health.ts";
import { Forwarding, prepareHost } from "./host/prepare.ts";
import { openFabric } from "./kernel/open.ts";
import { lockHost } from "./lock.ts";
import { Lookout } from "./lookout.ts";
import { OverlayMetrics } from "./metrics.ts";
import { FAMILIES } from "./parts.ts";
import { probedPeers } from "./probe/peers.ts";
import { Prober } from "./probe/prober.ts";
import { Protection } from "./protection.ts";
import { Publisher } from "./publisher.ts";
import type { OverlaySettings } from "./settings.ts";
import { openSource } from "./source/open.ts";
import type { NetworkConfig } from "./types.ts";
import { chooseUnderlay } from "./underlay/choose.ts";

/**
 * Connects this host until it is told to end, by SIGTERM or SIGINT, and leaves everything in place. Returns the exit
 * code: 1 where it wants to be started anew.
 *
 * @throws TsnetError `busy` if another agent runs on this host; for what keeps it from beginning.
 */
export async function runOverlay(settings: OverlaySettings, log: Log): Promise<number> {
  const lock = lockHost(settings);
  try {
    return await runAlone(settings, log);
  } finally {
    lock.release();
  }
}

async function runAlone(settings: OverlaySettings, log: Log): Promise<number> {
  const told = signalled();
  const parts = await assemble(settings, log);
  const { agent, lookout, source } = parts;
  try {
    source.start(agent);
    lookout.start();
    const ended = await Promise.race([told, agent.ended]);
    if (typeof ended === "number") return ended;
    log.info("stopping: the network stays in place", { signal: ended });
    return 0;
  } finally {
    await stop(parts);
  }
}

type Assembled = Awaited<ReturnType<typeof assemble>>;

async function assemble(settings: OverlaySettings, log: Log) {
  const clock = systemClock;
  const source = await openSource(settings, { log, clock });
  const socket = RtSocket.open();
  const fabric = openFabric({ log, clock });
  const protection = new Protection(settings, log);
  const forwarding = new Forwarding();
  const metrics = new OverlayMetrics();
  const publisher: Publisher = new Publisher({
    ...{ settings, source: source.name, fabric, clock, log },
    view: () => agent.view,
    looked: (view) => prober.replace(probedPeers(view, fabric)),
  });
  const prober = new Prober({
    ...{ period: settings.probePeriod, log, clock },
    onRtt: ({ host, address }, ms) => metrics.rtt(host, address.family, ms),
    onGone: ({ host, address }) => metrics.forget(host, address.family),
  });
  const agent: Agent = new Agent({
    ...{ log, clock, source, fabric, metrics },
    ...{ blackholeRoute: settings.blackholeRoute, bridge: settings.conflist.bridge },
    chooseUnderlay: (families, now) =>
      chooseUnderlay(settings.underlay, families, socket, now?.addresses ?? publisher.knownAs),
    claimOf: (network, underlay, own) =>
      claimOf({ settings, log, adoptable: fabric.adoptable }, network, underlay, own),
    async protect(network, own) {
      prepareHost(familiesOf(network), log, { services: settings.source.kind === "kube" });
      return protection.apply(network, own);
    },
    publish: (network, own, mtu) => {
      publisher.publish(network, own, mtu);
      sayReady(log);
      // What the start took is not needed again.
      clock.after(SETTLED_MS, collectGarbage);
    },
    tell: (urgent) => publisher.tell(urgent),
  });
  const lookout = new Lookout({
    ...{ fabric, protection, clock, log, comparePeriod: settings.comparePeriod },
    repaired: (report) => agent.repaired(report),
    rulesRepaired() {
      log.warn("repaired", { kind: "rules" });
      metrics.repaired("rules", 1);
    },
    underlayChanged: () => agent.stand(),
    compared(ms) {
      metrics.repaired("file", publisher.restore());
      for (const object of forwarding.keep(familiesOf(agent.view.network), log)) {
        log.warn("repaired", { kind: "sysctl", object, found: "different" });
        metrics.repaired("sysctl", 1);
      }
      metrics.synced(ms);
      health.synced();
    },
  });
  const health = new Health({ clock, comparePeriod: settings.comparePeriod, trouble: () => agent.view.trouble });
  const servers = openServers({ settings, health, metrics, log, clock });
  return { servers, source, socket, fabric, protection, publisher, agent, lookout, prober };
}

function familiesOf(network: NetworkConfig | undefined): readonly Family[] {
  return FAMILIES.filter((family) => network?.networks[family] !== undefined);
}

/** For a unit of Type=notify, as flanneld's is. */
function sayReady(log: Log): void {
  try {
    notifyManager("READY=1");
  } catch (error) {
    log.warn("the service manager cannot be told that the agent is ready", { reason: messageOf(error) });
  }
}

const SETTLED_MS = 2000;
// A source that hangs shall not keep the process.
const STOP_MS = 3000;

async function stop({ source, agent, lookout, publisher, prober, ...parts }: Assembled): Promise<void> {
  for (const part of [agent, lookout, publisher, prober]) part.stop();
  for (const part of [parts.servers, parts.protection, parts.fabric, parts.socket]) part.close();
  await Promise.race([source.stop(), new Promise<void>((resolve) => systemClock.after(STOP_MS, resolve))]);
}
