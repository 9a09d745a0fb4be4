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
import type { Attachment, Part } from "../lib/firewall/types.ts";
import { warn } from "../lib/log.ts";
import { type Link, linkDel, linkList } from "../lib/netlink/link.ts";
import { RtSocket } from "../lib/netlink/socket.ts";
import { cgroupNames, cgroupPath, cgroupPids, killCgroup, removeCgroup } from "../lib/sys/cgroup.ts";
import { netnsNames, removeNetns } from "../lib/sys/netns.ts";
import { identify, namespaceOf, sendSignal } from "../lib/sys/process.ts";
import { recallGuard } from "./forwarding.ts";
import { bridgeNames } from "./plan/names.ts";
import type { State } from "./state/state.ts";

const PARTS: readonly Part[] = ["masquerade", "publish", "accept"];
/** Milliseconds until a killed process is gone. */
const PATIENCE = 10_000;

/** Ends and removes what no record tells of; false if there is nothing. To be called with the state locked. */
export async function sweepStrays(state: State): Promise<boolean> {
  const strays = straysOf(state);
  if (strays.size === 0) return false;
  const there = [...strays].filter(([id, group]) => cgroupPids(`${group}/run`).length > 0 || netnsNames().includes(id));
  if (there.length > 0) {
    const ids = there.map(([id]) => id).join(", ");
    warn(`nothing in ${state.directory} tells of ${ids} any more: what is left of it is removed`);
  }
  for (const group of strays.values()) await end(group);
  const networks = new Set(state.networks().map(({ id }) => id));
  const ends = endsOf(new Set(strays.keys()));
  for (const { attachment } of ends) await (await chooseFirewall()).detach(attachment, PARTS);
  const gone = new Set(ends.map(({ attachment }) => attachment.network).filter((id) => !networks.has(id)));
  for (const id of gone) await (await chooseFirewall()).collect(id, [], PARTS);
  removeLinks(ends, gone);
  const names = netnsNames();
  for (const id of strays.keys()) if (names.includes(id)) await removeNetns(id);
  await recallGuard(state);
  return true;
}

/** The control groups of containers that there is no record of, by their ids. */
function straysOf(state: State): ReadonlyMap<string, string> {
  const all = cgroupPath("tsnet");
  if (all === undefined) return new Map();
  const known = new Set(state.containers().map(({ id }) => id));
  // A machine may hold several hosts.
  const host = `.${namespaceOf("self", "net")}`;
  const ids = cgroupNames(all).flatMap((name) => (name.endsWith(host) ? [name.slice(0, -host.length)] : []));
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

/** The host's end of an interface. */
interface End {
  readonly link: Link;
  readonly attachment: Attachment;
}

function endsOf(ids: ReadonlySet<string>): readonly End[] {
  using socket = RtSocket.open();
  return linkList(socket).flatMap((link): readonly End[] => {
    const [, network = "", containerId = "", ifname = ""] = /^tsnet (\S+) (\S+) (\S+)$/.exec(link.alias ?? "") ?? [];
    return ids.has(containerId) ? [{ link, attachment: { network, containerId, ifname } }] : [];
  });
}

/** Removes them, and the bridges of the networks that are gone, if we made them and nobody else is on them. */
function removeLinks(ends: readonly End[], gone: ReadonlySet<string>): void {
  using socket = RtSocket.open();
  const bridges = new Map(
    ends.flatMap(({ link, attachment: { network } }) =>
      link.master !== undefined && gone.has(network) ? [[link.master, network] as const] : [],
    ),
  );
  for (const { link } of ends) linkDel(socket, link.index);
  const left = linkList(socket);
  for (const { index, name, kind } of left) {
    const network = bridges.get(index);
    if (network === undefined || kind !== "bridge" || left.some(({ master }) => master === index)) continue;
    const [project = "", called = ""] = network.split(".");
    if (bridgeNames(project, called).includes(name)) linkDel(socket, index);
  }
}
