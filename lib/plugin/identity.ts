/**
 * How what we make is named and tagged, so that another process finds it: after a kill, without the container's
 * namespace, without an earlier result.
 *
 * @module
 */
import type { Attachment } from "../cni/types.ts";

// IFALIASZ of linux/if.h is 256; the attribute holds one less, and we send it with its NUL.
const MAX_ALIAS = 254;
// Leaves room for a container id and the interface.
const MAX_NETWORK = 120;
const HASH_LENGTH = 16;

/**
 * The link group of a host's end until it has its alias. The kernel sets a group, but no alias, as it makes a
 * link: of an ADD that was killed between the two, GC finds the veth by this. It is the network's own, since
 * another network's ADD on the same bridge may be on its way.
 */
export function halfMadeGroup(network: string): number {
  // Far above the small numbers that people use for groups of their own, and what iproute2 can read.
  return Number.parseInt(hash(network).slice(0, 7), 16) + 0x4000_0000;
}

/**
 * A link group for links that are about to be deleted together: nobody else's, so that no other link goes along.
 * Below those of {@link halfMadeGroup}, and above the numbers that people use.
 */
export function doomedGroup(): number {
  return 0x2000_0000 + Math.floor(Math.random() * 0x2000_0000);
}

/**
 * The host's end of a container's veth: `veth` and 8 hex digits, as the reference names it, but always the same
 * for the same interface of the same container on the same network.
 */
export function hostVethName(attachment: Attachment): string {
  const key = [attachment.network, attachment.containerId, attachment.ifname].join("\0");
  return `veth${hash(key).slice(0, 8)}`;
}

/** The alias of the host's end (`ip link` shows it): whose it is, for people and for GC. */
export function hostVethAlias({ network, containerId, ifname }: Attachment): string {
  return `${aliasPrefix(network)}${containerId} ${ifname}`.slice(0, MAX_ALIAS);
}

/** What the aliases of a network's veths begin with. Names hold no space and no `~`, so no other network's do. */
export function aliasPrefix(network: string): string {
  if (network.length <= MAX_NETWORK) return `${ALIAS_MARK}${network} `;
  const digest = hash(network).slice(0, HASH_LENGTH);
  return `${ALIAS_MARK}${network.slice(0, MAX_NETWORK - HASH_LENGTH - 1)}~${digest} `;
}

/** Whether an alias says that the veth is of another attachment. */
export function isOfAnother(alias: string | undefined, attachment: Attachment): boolean {
  return alias?.startsWith(ALIAS_MARK) === true && alias !== hostVethAlias(attachment);
}

const ALIAS_MARK = "tsnet ";

function hash(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}
