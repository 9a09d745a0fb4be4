/**
 * The host's end of the container's veth: where both directions are shaped.
 *
 * @module
 */
import type { CniResult } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";

/**
 * The host's end, which the result of the plugins before must list: an interface that just has the right number is not
 * touched.
 *
 * @throws TsnetError `invalid` or `not-found`.
 */
export function requireHostEnd(host: RtSocket, container: RtSocket, ifname: string, result: CniResult): Link {
  if (result.interfaces.length === 0) {
    throw fault("no interfaces provided: the plugin before must list the host's end of the veth", "invalid");
  }
  const end = linkGet(container, ifname);
  if (end === undefined) throw fault(`no container interface ${ifname}`, "not-found");
  if (end.kind !== "veth" || end.peerIndex === undefined) {
    throw fault(
      `container interface ${ifname} has no veth peer: it is ${end.kind ?? "hardware"}, only a veth can be shaped`,
      "invalid",
    );
  }
  const peer = linkGet(host, end.peerIndex);
  if (peer === undefined) throw fault(`veth peer with index ${end.peerIndex} is not in host ns`, "not-found");
  if (!result.interfaces.some(({ name, sandbox }) => name === peer.name && (sandbox ?? "") === "")) {
    throw fault(
      `no veth peer of container interface found in host ns: the interfaces of prevResult lack ${peer.name}`,
      "invalid",
    );
  }
  return peer;
}

/** The host's end where both are still there. */
export function findHostEnd(host: RtSocket, container: RtSocket, ifname: string): Link | undefined {
  const end = linkGet(container, ifname);
  if (end?.kind !== "veth" || end.peerIndex === undefined) return undefined;
  const peer = linkGet(host, end.peerIndex);
  // The number may be another namespace's.
  return peer?.kind === "veth" && peer.peerIndex === end.index ? peer : undefined;
}

function fault(message: string, code: "invalid" | "not-found"): TsnetError {
  return new TsnetError(message, { code, op: "bandwidth" });
}
