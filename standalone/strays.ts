/**
 * Strays: containers that nothing tells of any more, since somebody removed the files in /run/tsnet under them. Each
 * has a control group with its id, and by that what it left on the host is found: processes, namespace, interfaces,
 * rules, and the bridges of networks that nothing tells of either.
 *
 * They are ended and swept by whoever makes or removes something next. To take them over would be to guess what they
 * were meant to be.
 *
 * @module
 */
import { chooseFirewall } from "../lib/firewall/firewall.ts";
import { warn } from "../lib/log.ts";
import { linkDel, linkList } from "../lib/netlink/link.ts";
import { RtSocket } from "../lib/netlink/socket.ts";
import { CACHE_DIR, type CachedAttachment, listCached } from "../lib/runtime/cache.ts";
import { parseNetworkList } from "../lib/runtime/list.ts";
import { cgroupNames, cgroupPath, cgroupPids, killCgroup, removeCgroup } from "../lib/sys/cgroup.ts";
import { netnsNames, removeNetns } from "../lib/sys/netns.ts";
import { identify, namespaceOf, sendSignal } from "../lib/sys/process.ts";
import { openRuntime } from "./attach.ts";
import { recallGuard } from "./forwarding.ts";
import { isolate } from "./isolation/isolation.ts";
import { bridgeNames } from "./plan/names.ts";
import type { State } from "./state/state.ts";

/** Milliseconds until a killed process is gone. */
const PATIENCE = 10_000;

/** Ends and removes what no record tells of; false if there is nothing. To be called with the state locked. */
export async function sweepStrays(state: State): Promise<boolean> {
  const strays = straysOf(state);
  if (strays.size === 0) return false;
  const there = [...strays].filter(([id, group]) => cgroupPids(`${group}/run`).length > 0 || netnsNames().includes(id));
  if (there.length > 0) {
    const ids = there.map(([id]) => id).join(", ");
    warn(`${state.directory} does not tell of ${ids} or its networks any more: what is left of it is removed`);
  }
  for (const group of strays.values()) await end(group);
  const attachments = listCached(CACHE_DIR).filter(({ containerId }) => strays.has(containerId));
  for (const one of attachments) await detach(one, state);
  const names = netnsNames();
  for (const id of strays.keys()) if (names.includes(id)) await removeNetns(id);
  for (const record of state.containers()) if (strays.has(record.id)) state.removeContainer(record);
  await removeNetworks(attachments, state);
  await recallGuard(state);
  return true;
}

/** The control groups of containers of which no record tells, or none of one of their networks, by their ids. */
function straysOf(state: State): ReadonlyMap<string, string> {
  const all = cgroupPath("tsnet");
  if (all === undefined) return new Map();
  // A machine may hold several hosts.
  const host = `.${namespaceOf("self", "net")}`;
  const ids = cgroupNames(all).flatMap((name) => (name.endsWith(host) ? [name.slice(0, -host.length)] : []));
  const networks = new Set(state.networks().map(({ id }) => id));
  const whole = state
    .containers()
    .filter(({ attachments }) => attachments.every(({ network }) => networks.has(network)));
  const known = new Set(whole.map(({ id }) => id));
  // The helper has one, too.
  const strays = ids.filter((id) => id.includes(".") && !known.has(id));
  return new Map(strays.map((id) => [id, `${all}/${id}${host}`]));
}

async function end(group: string): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  while (!removeCgroup(group) && performance.now() < deadline) {
    // Kernels before 5.14 end one process at a time.
    if (!killCgroup(group)) for (const pid of cgroupPids(`${group}/run`)) kill(pid);
    await Bun.sleep(5);
  }
}

function kill(pid: number): void {
  const process = identify(pid);
  if (process !== undefined) sendSignal(process, "SIGKILL");
}

/** Takes an interface away as whoever called for it would have, by what the runtime keeps of each call. */
async function detach({ config, containerId, ifname, capabilityArgs }: CachedAttachment, state: State): Promise<void> {
  const list = parseNetworkList(config, `the list of ${containerId}`);
  await openRuntime(state.directory).delList(list, { containerId, netns: "", ifname, capabilityArgs });
}

/** What is left of networks that nothing tells of: rules, and bridges that we made and nobody else is on. */
async function removeNetworks(attachments: readonly CachedAttachment[], state: State): Promise<void> {
  const there = new Set(state.networks().map(({ id }) => id));
  const gone = new Set(attachments.map(({ network }) => network).filter((id) => !there.has(id)));
  for (const id of gone) await (await chooseFirewall()).collect(id, [], ["accept"]);
  await isolate(state.networks());
  using socket = RtSocket.open();
  const links = linkList(socket);
  for (const id of gone) {
    const [project = "", name = ""] = id.split(".");
    const ours = bridgeNames(project, name);
    const bridge = links.find((link) => link.kind === "bridge" && ours.includes(link.name));
    if (bridge === undefined || links.some(({ master }) => master === bridge.index)) continue;
    linkDel(socket, bridge.index);
  }
}
