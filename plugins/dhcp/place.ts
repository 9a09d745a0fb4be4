/**
 * Where plugin and daemon meet, and where the daemon keeps what it holds.
 *
 * @module
 */
import { hashedName } from "../../lib/cni/hash.ts";
import type { Attachment } from "../../lib/cni/types.ts";

/** Not the reference's /run/cni/dhcp.sock, at which its own daemon may listen. */
export const DEFAULT_SOCKET = "/run/cni/tsnet-dhcp.sock";

const STATE = "/run/tsnet/dhcp";
const HASH = 24;

/** The folder of the daemon that listens at `socket`: several daemons of a host do not take each other's leases. */
export function stateFolder(socket: string): string {
  const name = socket.slice(socket.lastIndexOf("/") + 1);
  return `${STATE}/${hashedName(`${name}-`, socket, name.length + HASH)}`;
}

/** The file of an attachment's lease in that folder. */
export function recordName({ network, containerId, ifname }: Attachment): string {
  return `${hashedName("", [network, containerId, ifname].join("\0"), HASH)}.json`;
}

/** Whether a file of that folder is a lease's. */
export function isRecord(name: string): boolean {
  return /^[0-9a-f]+\.json$/.test(name);
}
