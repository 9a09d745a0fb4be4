/**
 * The veth pair of an attachment: made, waited for, removed, collected.
 *
 * @module
 */
import type { Attachment } from "../cni/types.ts";
import { hasErrno } from "../errors.ts";
import { veth } from "../netlink/kinds.ts";
import { type Link, type LinkSpec, linkAdd, linkDel, linkGet, linkList, linkSet } from "../netlink/link.ts";
import type { RtSocket } from "../netlink/socket.ts";
import { writeSysctls } from "../sys/files.ts";
import type { Netns } from "../sys/netns.ts";
import type { Undo } from "../undo.ts";
import { doWithout } from "./container.ts";
import { aliasPrefix, halfMadeGroup, hostVethAlias, hostVethName, isOfAnother } from "./identity.ts";
import type { Kit } from "./kit.ts";
import { refuseExisting, requireLink } from "./link.ts";
import type { Namespaces } from "./netns.ts";

/** IF_OPER_UP of linux/if.h. */
const IF_OPER_UP = 6;
// A veth whose two ends are up has its carrier at once; the kernel's link watch tells others a moment later.
const UP_TRIES = 500;
const UP_PAUSE_MS = 2;

/** What the pair is made with. */
export interface VethSettings {
  readonly attachment: Attachment;
  /** Bytes, of both ends; undefined: the kernel's default. */
  readonly mtu: number | undefined;
  /** Of the container's end; undefined: the kernel's choice. */
  readonly mac?: string | undefined;
  /** Index of the bridge that the host's end is a port of. */
  readonly master?: number;
}

/**
 * Makes the pair, the container's end in its namespace under its final name, and down, the host's named, tagged and
 * up; returns the container's. `undo` is told once the pair is there and ours: one that stood in the way is another
 * call's.
 *
 * @throws TsnetError `exists` if the container has an interface of that name.
 */
export function createVeth(
  { host, container, netns }: Omit<Namespaces, typeof Symbol.dispose>,
  settings: VethSettings,
  undo: Undo,
): Link {
  const { attachment } = settings;
  const name = hostVethName(attachment);
  const create = () => linkAdd(host, { name, ...specOf(settings, netns) });
  try {
    create();
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
    refuseExisting(container, netns, attachment.ifname);
    // The same container had this interface in another namespace and no DEL came for it: the new one counts.
    linkDel(host, name);
    create();
  }
  undo.add("the veth pair", () => void linkDel(host, name));
  writeSysctls(undefined, [[`net/ipv6/conf/${name}/accept_ra`, "0"]], doWithout);
  linkSet(host, name, { up: true, alias: hostVethAlias(attachment), group: 0 });
  return requireLink(container, attachment.ifname);
}

/** One message makes both ends, so that neither is ever seen elsewhere. */
function specOf({ attachment, mtu, mac, master }: VethSettings, netns: Netns): Omit<LinkSpec, "name"> {
  const both = mtu === undefined ? {} : { mtu };
  const peer = { name: attachment.ifname, netns, ...both, ...(mac === undefined ? {} : { mac }) };
  const group = halfMadeGroup(attachment.network);
  return { kind: veth(peer), group, ...both, ...(master === undefined ? {} : { master }) };
}

/** Waits until packets pass, once both ends are up, and returns the link as it then is; undefined if they never do. */
export function waitUntilUp(socket: RtSocket, name: string, tries = UP_TRIES): Link | undefined {
  for (let left = tries; left > 0; left--) {
    const link = requireLink(socket, name);
    if (link.operstate === IF_OPER_UP) return link;
    Bun.sleepSync(UP_PAUSE_MS);
  }
  return undefined;
}

/**
 * Removes the pair by the host's end, whose name only this attachment's has; where that is not there, by the
 * container's interface of the attachment's name, which the reference plugin may have made. What belongs to another
 * attachment stays: a runtime calls DEL also after an ADD that failed because the interface was taken.
 */
export function removeVeth(
  host: RtSocket,
  container: RtSocket | undefined,
  attachment: Attachment,
  { removeLink = linkDel }: Pick<Kit, "removeLink"> = {},
): void {
  if (removeLink(host, hostVethName(attachment)) || container === undefined) return;
  const end = linkGet(container, attachment.ifname);
  if (end?.kind !== "veth") return;
  const peer = end.peerIndex === undefined ? undefined : linkGet(host, end.peerIndex);
  if (!isOfAnother(peer?.alias, attachment)) linkDel(container, end.index);
}

/**
 * Removes the network's pairs of all attachments but those to keep, and what a killed ADD left half-made: by its group,
 * and as a port of `master`, or of none.
 */
export function collectVeths(
  host: RtSocket,
  what: { readonly network: string; readonly keep: readonly Attachment[]; readonly master?: number | undefined },
): void {
  const { network, keep, master } = what;
  const names = new Set(keep.map(hostVethName));
  const group = halfMadeGroup(network);
  for (const link of linkList(host)) {
    const halfMade = link.group === group && link.master === master;
    const ours = halfMade || link.alias?.startsWith(aliasPrefix(network)) === true;
    // What other plugins made for the attachment is tagged alike.
    if (ours && link.kind === "veth" && !names.has(link.name)) linkDel(host, link.index);
  }
}
