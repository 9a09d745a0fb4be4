/**
 * A container that reaches itself by its own published port.
 *
 * Where the bridge hands its frames to the packet filter (br_netfilter), a redirected frame does not come back by
 * way of the host's routing: the bridge sends it out itself, and to the port that it came in by only in hairpin
 * mode. Where it does not, nothing is needed, and nothing is loaded.
 *
 * @module
 */
import type { CniResult } from "../../lib/cni/types.ts";
import type { PublishWish } from "../../lib/firewall/types.ts";
import { readSysctl } from "../../lib/sys/files.ts";

/** Puts the container's port of the bridge into hairpin mode where its published ports need it. */
export async function allowHairpin(result: CniResult, wish: PublishWish | undefined): Promise<void> {
  const { snat = false, addresses = [] } = wish ?? {};
  const filtered = addresses.some(({ address }) => {
    const key = address.family === 4 ? "bridge-nf-call-iptables" : "bridge-nf-call-ip6tables";
    return readSysctl(`net/bridge/${key}`) === "1";
  });
  if (!snat || !filtered) return;
  const [{ RtSocket }, { linkGet }, { portOf, portSet }] = await Promise.all([
    import("../../lib/netlink/socket.ts"),
    import("../../lib/netlink/link.ts"),
    import("../../lib/netlink/port.ts"),
  ]);
  using socket = RtSocket.open();
  // The container's port stands behind the bridge, which is of the list, too.
  for (const { name, sandbox } of result.interfaces.toReversed()) {
    if ((sandbox ?? "") !== "") continue;
    const link = linkGet(socket, name);
    if (link?.kind !== "veth" || link.master === undefined) continue;
    if (!portOf(link).hairpin) portSet(socket, link.index, { hairpin: true });
    return;
  }
}
