/**
 * Containers of one bridge kept from each other where its frames never come to the packet filter, because
 * br_netfilter is not there or is off: the container's port of the bridge is isolated, and talks to the bridge itself
 * and to ports that are not isolated. The setting goes with the port.
 *
 * @module
 */
import type { CniResult } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import { portOf, portSet } from "../../lib/netlink/port.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";

/** Isolates the container's port. Fine where it is no port of a bridge. */
export function isolatePort(result: CniResult): void {
  using socket = RtSocket.open();
  const port = findPort(socket, result);
  if (port !== undefined && !portOf(port).isolated) portSet(socket, port.index, { isolated: true });
}

/** @throws TsnetError `check-failed` if the container's port is there and not isolated. */
export function checkPort(result: CniResult): void {
  using socket = RtSocket.open();
  const port = findPort(socket, result);
  if (port === undefined || portOf(port).isolated) return;
  throw new TsnetError(`port ${port.name} is not isolated: bridge link set dev ${port.name} isolated on`, {
    code: "check-failed",
    op: "check port",
  });
}

/** The container's port stands behind the bridge, which is of the list, too. */
function findPort(socket: RtSocket, { interfaces }: CniResult): Link | undefined {
  for (const { name, sandbox } of interfaces.slice(1)) {
    if ((sandbox ?? "") !== "") continue;
    const link = linkGet(socket, name);
    if (link?.kind === "veth" && link.master !== undefined) return link;
  }
  return undefined;
}
