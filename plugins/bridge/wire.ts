/**
 * The links of an attachment: the veth pair and what is set on both of its ends.
 *
 * @module
 */

import type { Attachment, CniIp } from "../../lib/cni/types.ts";
import { hasErrno, TsnetError } from "../../lib/errors.ts";
import { type Link, linkSet } from "../../lib/netlink/link.ts";
import { neighDel } from "../../lib/netlink/neigh.ts";
import { portSet } from "../../lib/netlink/port.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { hostVethName } from "../../lib/plugin/identity.ts";
import { requireLink } from "../../lib/plugin/link.ts";
import { settleAddresses } from "../../lib/plugin/settle.ts";
import { createVeth, waitUntilUp } from "../../lib/plugin/veth.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import type { Undo } from "../../lib/undo.ts";
import type { BridgeConfig } from "./config.ts";

// Its first port is the bridge's own carrier, and until the link watch has come by again the bridge drops what the
// host sends. Not for long: where somebody turned STP on, it takes half a minute.
const BRIDGE_UP_TRIES = 50;

/** Joins container and bridge by a veth pair, and returns the container's end; the host's is up. */
export function attachVeth(
  host: RtSocket,
  container: RtSocket,
  netns: Netns,
  what: { readonly attachment: Attachment; readonly config: BridgeConfig; readonly bridge: Link; readonly undo: Undo },
): Link {
  const { attachment, config, bridge, undo } = what;
  const { mtu, mac } = config;
  const containerEnd = orFull(bridge, () =>
    createVeth({ host, container, netns }, { attachment, mtu, mac, master: bridge.index }, undo),
  );
  if (config.hairpin || config.portIsolation) {
    const port = requireLink(host, hostVethName(attachment));
    portSet(host, port.index, { hairpin: config.hairpin, isolated: config.portIsolation });
  }
  return containerEnd;
}

/**
 * Waits until the bridge forwards for the port, then has the container announce its addresses (arp_notify), so
 * that nobody goes on talking to a former holder of them. Returns the host's end as it then is.
 *
 * @throws TsnetError `io` with the reference's text `bridge port in error state`; `conflict` if somebody on the bridge
 *   has an address that was looked for.
 */
export function settle(
  host: RtSocket,
  container: RtSocket,
  links: {
    readonly bridge: Link;
    readonly hostEnd: string;
    readonly containerEnd: Link;
    readonly ips: readonly CniIp[];
    /** Whether IPv6 addresses are looked for on the bridge first, where there is a gateway of IPv6 to talk to. */
    readonly enableDad: boolean;
  },
): Link {
  const hostEnd = waitUntilUp(host, links.hostEnd);
  if (hostEnd === undefined) {
    throw new TsnetError(`bridge port in error state: ${links.hostEnd} on ${links.bridge.name} does not come up`, {
      code: "io",
      op: "attach",
    });
  }
  waitUntilUp(host, links.bridge.name, BRIDGE_UP_TRIES);
  if (links.enableDad && links.ips.some(({ gateway }) => gateway?.family === 6))
    settleAddresses(container, links.containerEnd);
  for (const { address } of links.ips) neighDel(host, links.bridge.index, address.address);
  if (links.ips.length > 0) linkSet(container, links.containerEnd.index, { mac: links.containerEnd.mac });
  return hostEnd;
}

/** Does `create`, and says what it means that the bridge takes no more ports. */
function orFull<T>(bridge: Link, create: () => T): T {
  try {
    return create();
  } catch (error) {
    if (!hasErrno(error, "EXFULL")) throw error;
    throw new TsnetError(`bridge ${bridge.name} is full: a Linux bridge takes 1023 ports; use a second network`, {
      code: "busy",
      op: "attach",
      cause: error,
    });
  }
}
