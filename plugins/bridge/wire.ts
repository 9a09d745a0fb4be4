/**
 * The links of an attachment: the veth pair and what is set on both of its ends.
 *
 * @module
 */

import type { Attachment, CniIp } from "../../lib/cni/types.ts";
import { hasErrno, TsnetError } from "../../lib/errors.ts";
import { veth } from "../../lib/netlink/kinds.ts";
import { type Link, linkAdd, linkDel, linkGet, linkSet } from "../../lib/netlink/link.ts";
import { neighDel } from "../../lib/netlink/neigh.ts";
import { portSet } from "../../lib/netlink/port.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { doWithout } from "../../lib/plugin/container.ts";
import { halfMadeGroup, hostVethAlias, hostVethName, isOfAnother } from "../../lib/plugin/identity.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { refuseExisting, requireLink } from "../../lib/plugin/link.ts";
import { writeSysctls } from "../../lib/sys/files.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import type { Undo } from "../../lib/undo.ts";
import type { BridgeConfig } from "./config.ts";

/** IF_OPER_UP of linux/if.h. */
const IF_OPER_UP = 6;
// A veth whose two ends are up has its carrier at once; the kernel's link watch tells the bridge a moment later.
const PORT_UP_TRIES = 500;
// Its first port is the bridge's own carrier, and until the link watch has come by again the bridge drops what the
// host sends. Not for long: where somebody turned STP on, it takes half a minute.
const BRIDGE_UP_TRIES = 50;
const UP_PAUSE_MS = 2;

/**
 * Joins container and bridge by a veth pair, and returns the container's end; the host's is up. `undo` is told once
 * the pair is there and ours: one that stood in the way is another call's.
 */
export function attachVeth(
  host: RtSocket,
  container: RtSocket,
  netns: Netns,
  what: { readonly attachment: Attachment; readonly config: BridgeConfig; readonly bridge: Link; readonly undo: Undo },
): Link {
  const { attachment, config, undo } = what;
  const name = hostVethName(attachment);
  createVeth(host, container, netns, name, what);
  undo.add("the veth pair", () => void linkDel(host, name));
  writeSysctls(undefined, [[`net/ipv6/conf/${name}/accept_ra`, "0"]], doWithout);
  linkSet(host, name, { up: true, alias: hostVethAlias(attachment), group: 0 });
  if (config.hairpin || config.portIsolation) {
    portSet(host, requireLink(host, name).index, { hairpin: config.hairpin, isolated: config.portIsolation });
  }
  return requireLink(container, attachment.ifname);
}

/**
 * Waits until the bridge forwards for the port, then has the container announce its addresses (arp_notify), so
 * that nobody goes on talking to a former holder of them. Returns the host's end as it then is.
 *
 * @throws TsnetError `io` with the reference's text `bridge port in error state`.
 */
export function settle(
  host: RtSocket,
  container: RtSocket,
  links: {
    readonly bridge: Link;
    readonly hostEnd: string;
    readonly containerEnd: Link;
    readonly ips: readonly CniIp[];
  },
): Link {
  const hostEnd = waitUntilUp(host, links.hostEnd, PORT_UP_TRIES);
  if (hostEnd === undefined) {
    throw new TsnetError(`bridge port in error state: ${links.hostEnd} on ${links.bridge.name} does not come up`, {
      code: "io",
      op: "attach",
    });
  }
  waitUntilUp(host, links.bridge.name, BRIDGE_UP_TRIES);
  for (const { address } of links.ips) neighDel(host, links.bridge.index, address.address);
  if (links.ips.length > 0) linkSet(container, links.containerEnd.index, { mac: links.containerEnd.mac });
  return hostEnd;
}

function waitUntilUp(host: RtSocket, name: string, tries: number): Link | undefined {
  for (let left = tries; left > 0; left--) {
    const link = requireLink(host, name);
    if (link.operstate === IF_OPER_UP) return link;
    Bun.sleepSync(UP_PAUSE_MS);
  }
  return undefined;
}

/**
 * Removes the veth pair by the host's end, whose name only this attachment's has; where that is not there, the
 * container's interface of the attachment's name, which the reference plugin may have made. What belongs to another
 * attachment stays: a runtime calls DEL also after an ADD that failed because the interface was taken.
 */
export function removeVeth(
  host: RtSocket,
  container: RtSocket | undefined,
  attachment: Attachment,
  { removeLink = linkDel }: Pick<Kit, "removeLink">,
): void {
  if (removeLink(host, hostVethName(attachment)) || container === undefined) return;
  const end = linkGet(container, attachment.ifname);
  if (end?.kind !== "veth") return;
  const peer = end.peerIndex === undefined ? undefined : linkGet(host, end.peerIndex);
  if (!isOfAnother(peer?.alias, attachment)) linkDel(container, end.index);
}

/** One message makes both ends, the port of the bridge and the interface in the container, under its final name. */
function createVeth(
  host: RtSocket,
  container: RtSocket,
  netns: Netns,
  name: string,
  what: { readonly attachment: Attachment; readonly config: BridgeConfig; readonly bridge: Link },
): void {
  const { attachment, config, bridge } = what;
  const mtu = config.mtu === undefined ? {} : { mtu: config.mtu };
  const peer = { name: attachment.ifname, netns, ...mtu, ...(config.mac === undefined ? {} : { mac: config.mac }) };
  const group = halfMadeGroup(attachment.network);
  const create = () => linkAdd(host, { name, kind: veth(peer), master: bridge.index, group, ...mtu });
  try {
    create();
  } catch (error) {
    if (hasErrno(error, "EXFULL")) {
      throw new TsnetError(`bridge ${bridge.name} is full: a Linux bridge takes 1023 ports; use a second network`, {
        code: "busy",
        op: "attach",
        cause: error,
      });
    }
    if (!hasErrno(error, "EEXIST")) throw error;
    refuseExisting(container, netns, attachment.ifname);
    // The same container had this interface in another namespace and no DEL came for it: the new one counts.
    linkDel(host, name);
    create();
  }
}
