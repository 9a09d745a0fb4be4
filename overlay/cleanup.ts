/**
 * `tsnet overlay --cleanup`: makes the host as it was before its first agent.
 *
 * By what is there, not by what somebody remembers: devices by name and kind, routes by our protocol number, rules by
 * their tables and chains. Each step goes on past the errors of the others.
 *
 * @module
 */
import { systemClock } from "../lib/daemon/clock.ts";
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import { type Family, parseAddress } from "../lib/net/address.ts";
import { parseCidr } from "../lib/net/cidr.ts";
import { RTPROT_TSNET } from "../lib/netlink/constants.ts";
import { linkDel, linkGet, linkList } from "../lib/netlink/link.ts";
import { describeRoute, routeDel, routeList } from "../lib/netlink/route.ts";
import { RtSocket } from "../lib/netlink/socket.ts";
import { type AgentState, readAgentState, removeAgentState } from "../lib/overlay/state.ts";
import { removeSubnetEnv } from "../lib/overlay/subnetenv.ts";
import { removeFile } from "../lib/sys/files.ts";
import { removeConflist } from "./files/conflist.ts";
import { removeVtep } from "./files/identity.ts";
import { removeFirewall } from "./firewall/open.ts";
import { OVERLAY_DEVICE } from "./kernel/device.ts";
import { lockHost, lockPathOf } from "./lock.ts";
import { statePathOf } from "./publisher.ts";
import type { OverlaySettings } from "./settings.ts";
import { openSource } from "./source/open.ts";
import type { Claim, Parts } from "./types.ts";

const RELEASE_MS = 10_000;

/**
 * Returns the exit code: 1 if something could not be removed, which the log names.
 *
 * @throws TsnetError `busy` if an agent runs.
 */
export async function cleanupOverlay(settings: OverlaySettings, log: Log): Promise<number> {
  const lock = lockHost(settings);
  let code = 0;
  const step = async (what: string, work: () => unknown) => {
    try {
      await work();
      return true;
    } catch (error) {
      log.error(`cannot remove ${what}`, { reason: messageOf(error) });
      code = 1;
      return false;
    }
  };
  try {
    const ours = removeListAndSay(settings, log);
    const state = readState(settings, log);
    const released = state === undefined || (await step("this host's lease", () => releaseLease(settings, state, log)));
    await step("the kernel's part", () => removeFromKernel(ours ? settings.conflist.bridge : undefined, log));
    await step("the packet filter's rules", () => removeFirewall(log));
    await step("subnet.env", () => removeSubnetEnv(settings.subnetFile));
    await step("the VTEP's MAC", () => removeVtep(settings.dataDir));
    // By what it says, the lease is given up the next time.
    if (released) await step("the agent's state", () => removeAgentState(statePathOf(settings)));
    return code;
  } finally {
    lock.release();
    removeFile(lockPathOf(settings));
  }
}

/** First, so that no container comes meanwhile. Whether the list was ours. */
function removeListAndSay({ conflist }: OverlaySettings, log: Log): boolean {
  const removed = removeConflist(conflist);
  if (removed) log.info("removed", { list: conflist.path });
  return removed;
}

/** Undefined if there is none, or none that can be read: then a lease ends when its time is over. */
function readState(settings: OverlaySettings, log: Log): AgentState | undefined {
  try {
    return readAgentState(statePathOf(settings));
  } catch (error) {
    log.warn("what lease this host has is not known: it ends when its time is over", { reason: messageOf(error) });
    return undefined;
  }
}

async function releaseLease(settings: OverlaySettings, state: AgentState, log: Log): Promise<void> {
  const source = await openSource(settings, { log, clock: systemClock });
  if (settings.source.kind === "static" && /^(etcd at |the Kubernetes API$)/.test(state.source)) {
    log.warn("what others know of this host stays there: --cleanup removes it, with the flags that the agent had", {
      source: state.source,
    });
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${source.name} does not answer`)), RELEASE_MS);
  });
  try {
    await Promise.race([source.release(claimOf(state)), late]);
  } finally {
    clearTimeout(timer);
    await Promise.race([source.stop(), late.catch(() => {})]);
  }
}

/** What the agent before us claimed. */
function claimOf(state: AgentState): Claim {
  const parts: { [F in Family]?: Claim["parts"][F] } = {};
  for (const text of state.underlay?.addresses ?? []) {
    const address = parseAddress(text);
    const device = state.devices.find((one) => parseAddress(one.address).family === address.family);
    parts[address.family] = { address, mac: device?.mac === "" ? undefined : device?.mac };
  }
  const previous: Parts<ReturnType<typeof parseCidr>> = Object.fromEntries(
    state.subnets.map(parseCidr).map((subnet) => [subnet.address.family, subnet]),
  );
  const backend = state.backend === "host-gw" ? "host-gw" : "vxlan";
  return { host: state.host, backend, vni: state.vni, parts, previous, pinned: false };
}

function removeFromKernel(bridge: string | undefined, log: Log): void {
  const socket = RtSocket.open();
  try {
    for (const route of routeList(socket)) {
      if (route.protocol !== RTPROT_TSNET || !routeDel(socket, route)) continue;
      log.info("removed", { route: describeRoute(route) });
    }
    for (const { kind, name } of linkList(socket)) {
      if (kind === "vxlan" && OVERLAY_DEVICE.test(name) && linkDel(socket, name)) log.info("removed", { device: name });
    }
    if (bridge !== undefined) removeBridge(socket, bridge, log);
  } finally {
    socket.close();
  }
}

/** The plugins leave it for the next container; with the network goes the bridge, unless containers are on it. */
function removeBridge(socket: RtSocket, name: string, log: Log): void {
  const bridge = linkGet(socket, name);
  if (bridge?.kind !== "bridge") return;
  const ports = linkList(socket).filter(({ master }) => master === bridge.index);
  if (ports.length > 0) {
    log.warn("containers are on the bridge: it stays", { bridge: name, ports: ports.length });
    return;
  }
  if (linkDel(socket, name)) log.info("removed", { bridge: name });
}
