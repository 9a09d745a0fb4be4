/**
 * Links by name, where one has to be there or must not be.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Link, linkGet } from "../netlink/link.ts";
import type { RtSocket } from "../netlink/socket.ts";
import type { Netns } from "../sys/netns.ts";

/** The link of that name. @throws TsnetError `not-found`. */
export function requireLink(socket: RtSocket, name: string): Link {
  const link = linkGet(socket, name);
  if (link === undefined)
    throw new TsnetError(`no link ${name}`, { code: "not-found", op: "show link", errno: "ENODEV" });
  return link;
}

/** @throws TsnetError `exists`, calling it `what`, if the container's namespace has a link of that name. */
export function refuseExisting(container: RtSocket, netns: Netns, ifname: string, what = "veth"): void {
  if (linkGet(container, ifname) === undefined) return;
  throw new TsnetError(
    `container ${what} name (${ifname}) already exists in ${netns.path}: DEL it first, or choose another CNI_IFNAME`,
    {
      code: "exists",
      op: "ADD",
    },
  );
}
