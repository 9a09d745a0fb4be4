/**
 * How what we make is named and tagged, so that another process finds it: after a kill, without the container's
 * namespace, without an earlier result.
 *
 * @module
 */
import type { Attachment } from "../../lib/cni/types.ts";

/**
 * The link group of a host's end until it has its alias. The kernel sets a group, but no alias, as it makes a
 * link: of an ADD that was killed between the two, GC finds the veth by this.
 */
export const HALF_MADE_GROUP = 0x74736e;

// IFALIASZ of linux/if.h is 256 with its NUL.
const MAX_ALIAS = 255;

/**
 * The host's end of a container's veth: `veth` and 8 hex digits, as the reference names it, but always the same
 * for the same interface of the same container on the same network.
 */
export function hostVethName(attachment: Attachment): string {
  const key = [attachment.network, attachment.containerId, attachment.ifname].join("\0");
  return `veth${new Bun.CryptoHasher("sha256").update(key).digest("hex").slice(0, 8)}`;
}

/** The alias of the host's end (`ip link` shows it): whose it is, for people and for GC. */
export function hostVethAlias({ network, containerId, ifname }: Attachment): string {
  return `${aliasPrefix(network)}${containerId} ${ifname}`.slice(0, MAX_ALIAS);
}

/** What the aliases of a network's veths begin with. Names hold no space, so no other network's do. */
export function aliasPrefix(network: string): string {
  return `tsnet ${network} `;
}
