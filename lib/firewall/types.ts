/**
 * What we ask of a packet filter, in words that hold for nftables and iptables alike.
 *
 * Plugins and `tsnet up` state wishes for one attachment; a {@link Firewall} turns them into rules, remembers
 * what it did under /run/tsnet/firewall, and takes away exactly that. Nothing here needs the container's
 * namespace or the result of an earlier plugin: DEL has neither.
 *
 * @module
 */
import type { Address } from "../net/address.ts";
import type { Cidr } from "../net/cidr.ts";
import type { HeldPort } from "./record.ts";

/** The program that writes the rules. */
export type Backend = "iptables" | "nftables";

/** One interface of one container on one network: the owner of rules. */
export interface Attachment {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

/** What leaves one of `addresses` for beyond its own subnet, and is not multicast, leaves with the host's address. */
export interface MasqueradeWish {
  /** The container's addresses with the prefix length of their subnet: `10.1.0.5/24`. */
  readonly addresses: readonly Cidr[];
}

export type Protocol = "tcp" | "udp" | "sctp";

/** A port of the host that leads to a port of the container. */
export interface PortMapping {
  readonly protocol: Protocol;
  /** 1 to 65535. */
  readonly hostPort: number;
  /** 1 to 65535. */
  readonly containerPort: number;
  /** The host's address that it holds on; none: all of them, of both families. */
  readonly hostIp?: Address;
}

/** Ports of the host lead to the container. Only what is addressed to the host itself is redirected. */
export interface PublishWish {
  readonly mappings: readonly PortMapping[];
  /**
   * Host ports that lead to the same container by another of its interfaces, and go on doing so: runtimes hand the
   * same mappings to each network of a container. Filled in by the firewall.
   */
  readonly elsewhere?: readonly HeldPort[];
  /** The container's address of each family with the prefix length of its subnet; the first of a family is used. */
  readonly addresses: readonly Cidr[];
  /** Whether connections from the container's own subnet and from 127.0.0.1 are masqueraded, without which they fail. */
  readonly snat: boolean;
  /** Whether all connections are masqueraded, wherever they come from. */
  readonly masqAll: boolean;
  /** The bit of the packet mark that tells iptables to masquerade, 0 to 31. The nftables rules need no mark. */
  readonly markMasqBit: number;
  /** A chain of somebody else in iptables' nat table that marks for masquerading, in place of our own. */
  readonly externalSetMarkChain?: string;
  /** More conditions, in words of the back end in use, that a packet has to meet. */
  readonly conditionsV4?: readonly string[];
  readonly conditionsV6?: readonly string[];
}

/**
 * Forwarding to and from the container is accepted where the host's own rules would drop it: what it sends,
 * and what answers it or was led to it by a published port.
 */
export interface AcceptWish {
  /** Container-facing interface of the host: the bridge, or the veth. */
  readonly link: string;
  /** Taken as they stand: `10.1.0.5/32` for one container, `10.1.0.0/24` for a whole bridge. */
  readonly addresses: readonly Cidr[];
  /** Whether all that is for them is accepted, not only what answers or was led there. */
  readonly inbound?: boolean;
}

/** Who may connect to a container over the host: the words of the reference's firewall plugin. */
export type IngressPolicy = "open" | "same-bridge" | "isolated";

/**
 * A container's share in what the host forwards. The administrator's chain is asked first, then the walls of the
 * ingress policy; what is left is accepted as far as the container sent it, or it answers it, or was led to it by
 * a published port. More than that the host's own rules decide.
 *
 * Walls stand between bridges that have them: from one such bridge to another nothing passes. `isolated` bridges
 * pass nothing from port to port, either.
 */
export interface ForwardWish {
  /** The container's; their prefixes do not matter. */
  readonly addresses: readonly Cidr[];
  /** Interfaces of the host that lead to the container's network: its bridge. Walls need one. */
  readonly links: readonly string[];
  readonly ingress: IngressPolicy;
  /** A chain of the administrator's: made where it is not there, and never written to. */
  readonly adminChain: string;
  /** A zone of firewalld that the addresses belong to: then it accepts, and rules of ours are for walls alone. */
  readonly firewalldZone?: string;
}

/** What one attachment asks for; several parts go to the kernel together. */
export interface Wishes {
  readonly masquerade?: MasqueradeWish;
  readonly publish?: PublishWish;
  readonly accept?: AcceptWish;
  readonly forward?: ForwardWish;
}

/** A part is added, recorded and removed on its own: bridge asks for `masquerade`, portmap for `publish`, firewall for `forward`. */
export type Part = keyof Wishes;

/** The packet filter of the host (of the network namespace that we run in). */
export interface Firewall {
  /** Where {@link Firewall.attach} puts rules. What was put elsewhere earlier is still found and removed there. */
  readonly backend: Backend;

  /**
   * Makes the wishes true, in one transaction. Doing it again is fine, and replaces what the attachment had.
   *
   * @throws TsnetError `conflict` if a host port is taken, naming by whom; `busy` if the xtables lock is held;
   *   `not-found` if the program is missing; `invalid` if the filter refuses a condition.
   */
  attach(attachment: Attachment, wishes: Wishes): Promise<void>;

  /**
   * Removes `parts` of the attachment, from whichever back end they are in, with the conntrack entries that
   * they made. Fine where nothing is left. What the reference plugins left of an attachment that is not ours
   * goes, too; `addresses` are the container's, where the caller knows them: some of those rules bear no name.
   */
  detach(attachment: Attachment, parts: readonly Part[], addresses?: readonly Address[]): Promise<void>;

  /** @throws TsnetError `check-failed`, naming the rule that is missing. */
  check(attachment: Attachment, wishes: Wishes): Promise<void>;

  /** Removes `parts` of every attachment of `network` that is not in `keep`. */
  collect(network: string, keep: readonly Attachment[], parts: readonly Part[]): Promise<void>;

  /** @throws TsnetError `not-found` or `kernel-lacks` if {@link Firewall.attach} could not work on this host. */
  ensureUsable(): Promise<void>;

  /** Puts back what is recorded and was flushed by somebody: `nft flush ruleset`, a reload of firewalld. */
  reload(): Promise<void>;

  /** What of all that is recorded is not there, in the words of its back end: what {@link Firewall.reload} puts back. */
  missing(): Promise<readonly string[]>;
}
