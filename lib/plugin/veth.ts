/**
 * The veth pair of an attachment whose host's end stands alone: made, found again, removed.
 *
 * @module
 */
import type { Attachment } from "../cni/types.ts";
import { hasErrno, TsnetError } from "../errors.ts";
import { veth } from "../netlink/kinds.ts";
import { type Link, linkAdd, linkDel, linkGet, linkList, linkSet } from "../netlink/link.ts";
import type { RtSocket } from "../netlink/socket.ts";
import { aliasPrefix, halfMadeGroup, hostVethAlias, hostVethName, isOfAnother } from "./identity.ts";
import { refuseExisting, requireLink } from "./link.ts";
import type { Namespaces } from "./netns.ts";

/** IF_OPER_UP of linux/if.h. */
const IF_OPER_UP = 6;
// A veth whose two ends are up has its carrier at once; the kernel's link watch lets packets in a moment later.
const UP_TRIES = 500;
const UP_PAUSE_MS = 2;

/** What the pair is made with. */
export interface VethSettings {
  readonly attachment: Attachment;
  /** Bytes, of both ends; undefined: the kernel's default. */
  readonly mtu: number | undefined;
}

/** Both ends. */
export interface VethPair {
  readonly hostEnd: Link;
  readonly containerEnd: Link;
}

/**
 * Makes the pair, the container's end in its namespace under its final name and down, the host's named, tagged and up.
 * One message makes both, so that neither is ever seen elsewhere.
 *
 * @throws TsnetError `exists` if the container has an interface of that name.
 */
export function createVeth(
  { host, container, netns }: Omit<Namespaces, typeof Symbol.dispose>,
  settings: VethSettings,
): VethPair {
  const { attachment } = settings;
  const name = hostVethName(attachment);
  const mtu = settings.mtu === undefined ? {} : { mtu: settings.mtu };
  const kind = veth({ name: attachment.ifname, netns, ...mtu });
  const create = () => linkAdd(host, { name, kind, group: halfMadeGroup(attachment.network), ...mtu });
  try {
    create();
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
    refuseExisting(container, netns, attachment.ifname);
    // The same container had this interface in another namespace and no DEL came for it: the new one counts.
    linkDel(host, name);
    create();
  }
  linkSet(host, name, { up: true, alias: hostVethAlias(attachment), group: 0 });
  return { hostEnd: requireLink(host, name), containerEnd: requireLink(container, attachment.ifname) };
}

/**
 * Waits until packets pass, once both ends are up, and returns the link as it then is.
 *
 * @throws TsnetError `io`.
 */
export function waitUntilUp(socket: RtSocket, name: string): Link {
  for (let left = UP_TRIES; left > 0; left--) {
    const link = requireLink(socket, name);
    if (link.operstate === IF_OPER_UP) return link;
    Bun.sleepSync(UP_PAUSE_MS);
  }
  throw new TsnetError(`${name} does not come up: its peer in the container is down`, { code: "io", op: "attach" });
}

/**
 * Removes the pair by the host's end, whose name only this attachment's has; where that is not there, by the
 * container's interface of the attachment's name, which the reference plugin may have made. What belongs to another
 * attachment stays: a runtime calls DEL also after an ADD that failed because the interface was taken.
 */
export function removeVeth(host: RtSocket, container: RtSocket | undefined, attachment: Attachment): void {
  if (linkDel(host, hostVethName(attachment)) || container === undefined) return;
  const end = linkGet(container, attachment.ifname);
  if (end?.kind !== "veth") return;
  const peer = end.peerIndex === undefined ? undefined : linkGet(host, end.peerIndex);
  if (!isOfAnother(peer?.alias, attachment)) linkDel(container, end.index);
}

/** Removes the network's pairs of all attachments but those to keep, and what a killed ADD left half-made. */
export function collectVeths(host: RtSocket, network: string, keep: readonly Attachment[]): void {
  const names = new Set(keep.map(hostVethName));
  const group = halfMadeGroup(network);
  for (const link of linkList(host)) {
    const halfMade = link.group === group && link.kind === "veth" && link.master === undefined;
    const ours = halfMade || link.alias?.startsWith(aliasPrefix(network)) === true;
    if (ours && !names.has(link.name)) linkDel(host, link.index);
  }
}
