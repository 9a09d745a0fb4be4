/**
 * What the limits mean for the host's links. Pure.
 *
 * What the container receives is what its veth's end on the host sends: a token bucket there does. What it sends
 * arrives at that end, where nothing can wait; so it is redirected to a device that is nothing but a queue (ifb), and
 * waits there.
 *
 * @module
 */
import { hashedName } from "../../lib/cni/hash.ts";
import type { Attachment } from "../../lib/cni/types.ts";
import type { Link } from "../../lib/netlink/link.ts";
import type { Tbf } from "../../lib/netlink/qdisc.ts";
import { halfMadeGroup, hostVethAlias } from "../../lib/plugin/identity.ts";
import type { Limits } from "./config.ts";

/** The host's end of the container's veth, as far as it is looked at. */
export type HostEnd = Pick<Link, "index" | "name" | "mtu">;

/** What there shall be. */
export interface Plan {
  readonly hostEnd: HostEnd;
  readonly ingress: Tbf | undefined;
  readonly egress: { readonly ifb: IfbSpec; readonly tbf: Tbf } | undefined;
}

/** The device through which goes what the container sends. */
export interface IfbSpec {
  readonly name: string;
  /** Bytes; that of the host's end. */
  readonly mtu: number;
  /** Until it has its alias: see identity.ts. */
  readonly group: number;
  readonly alias: string;
}

// IFNAMSIZ of linux/if.h, less the closing zero.
const NAME_LENGTH = 15;
const NAME_PREFIX = "bwp";

export function planShaping(attachment: Attachment, { ingress, egress }: Limits, hostEnd: HostEnd): Plan {
  return {
    hostEnd,
    ingress,
    egress:
      egress === undefined
        ? undefined
        : {
            tbf: egress,
            ifb: {
              name: ifbName(attachment),
              mtu: hostEnd.mtu,
              group: halfMadeGroup(attachment.network),
              alias: hostVethAlias(attachment),
            },
          },
  };
}

/** The ifb of an attachment. With the interface in it, for a container may have several on one network. */
export function ifbName({ network, containerId, ifname }: Attachment): string {
  return hashedName(NAME_PREFIX, [network, containerId, ifname].join("\0"), NAME_LENGTH);
}

/** What the reference plugin calls it, the same for all interfaces of a container on the network. */
export function referenceIfbName({ network, containerId }: Attachment): string {
  return hashedName(NAME_PREFIX, network + containerId, NAME_LENGTH);
}
