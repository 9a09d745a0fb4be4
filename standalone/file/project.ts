/**
 * What a tsnet.yaml asks for, once it has been read and found good: the input of the plan.
 *
 * @module
 */
import type { Address } from "../../lib/net/address.ts";
import type { Cidr } from "../../lib/net/cidr.ts";

/** One file: its networks and containers, in the order in which they stand there. */
export interface Project {
  readonly name: string;
  /** Path of the file, for messages. */
  readonly path: string;
  readonly networks: ReadonlyMap<string, NetworkSpec>;
  readonly containers: ReadonlyMap<string, ContainerSpec>;
}

/** One entry of `networks`. */
export interface NetworkSpec {
  readonly name: string;
  /** IPv4; undefined: one is chosen. */
  readonly subnet?: Cidr;
  /** Addresses of the host on it; the first of the subnet where there is none of that family. */
  readonly gateways: readonly Address[];
  /** IPv6 subnet, or `auto` for one that is chosen. */
  readonly ipv6?: Cidr | "auto";
  /** Bytes; undefined: the least of the default routes' devices. */
  readonly mtu?: number;
  /** Name of the bridge; undefined: one is made up. */
  readonly bridge?: string;
  readonly masquerade: boolean;
  readonly options: NetworkOptions;
  /** What its containers' addresses are taken from, a part of a subnet; all of it where there is none. */
  readonly range?: Cidr;
  /** More routes of its containers. */
  readonly routes?: readonly NetworkRoute[];
  readonly labels?: Readonly<Record<string, string>>;
  /** Nobody in it gets out, and nobody gets in. */
  readonly internal?: true;
  /**
   * Networks between which and this one nothing is kept apart: those of the file by their names, those of others as
   * `PROJECT.NETWORK`. `*`: everybody who finds a way gets in.
   */
  readonly open?: readonly string[];
  /** The network of another project, `PROJECT.NETWORK`, that is used as it is. */
  readonly external?: string;
}

/** A way to somewhere behind a network; by the network's gateway unless `via` says another. */
export interface NetworkRoute {
  readonly dst: Cidr;
  readonly via?: Address;
}

/** Keys of the bridge and portmap plugins that a file may set. */
export type NetworkOptions = Readonly<Record<string, string | number | boolean>>;

/** One entry of `containers`. */
export interface ContainerSpec {
  readonly name: string;
  readonly network: NetworkMode;
  readonly ports: readonly PublishedPort[];
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Absolute; undefined: the host's root. */
  readonly rootfs?: string;
  readonly hostname: string;
  /** Absolute, as seen from inside. */
  readonly workdir: string;
  readonly mounts: readonly MountSpec[];
  readonly privileged: boolean;
  /** `name|uid[:group|gid]`; undefined: root. */
  readonly user?: string;
  /** Resolvers to ask in place of the host's. */
  readonly dns: readonly Address[];
  /** Domains that a short name is also looked for in; undefined: the host's. */
  readonly dnsSearch?: readonly string[];
  /** Names and their addresses, or `host-gateway` for the host's. */
  readonly extraHosts: Readonly<Record<string, string>>;
  /** The namespaces that it shares with the host; the network is chosen by {@link ContainerSpec.network}. */
  readonly shares: readonly SharedNamespace[];
}

/** Namespaces that a container has of its own unless its key says `host`. */
export const SHAREABLE = ["pid", "ipc", "uts", "mount"] as const;
export type SharedNamespace = (typeof SHAREABLE)[number];

/** How a container is on the network. */
export type NetworkMode =
  | { readonly kind: "bridge"; readonly joins: readonly Join[] }
  | { readonly kind: "host" }
  | { readonly kind: "none" }
  /** In the network namespace of another container of the file. */
  | { readonly kind: "container"; readonly container: string };

/** One network that a container is on; its interfaces are eth0, eth1 and so on in this order. */
export interface Join {
  readonly network: string;
  /** Wanted addresses, at most one of a family; one is given where there is none. */
  readonly addresses: readonly Address[];
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac?: string;
  /** More names of it there, which several containers may share. */
  readonly aliases?: readonly string[];
}

export type Protocol = "tcp" | "udp" | "sctp";

/** A port of the host that leads to a port of the container. */
export interface PublishedPort {
  /** The host's address that it holds on; undefined: all of them. */
  readonly hostIp?: Address;
  /** 0: one is to be chosen. */
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: Protocol;
}

/** A file or directory of the host, seen at `target`. */
export interface MountSpec {
  /** Absolute path on the host. */
  readonly source: string;
  /** Absolute path inside. */
  readonly target: string;
  readonly readOnly: boolean;
}

/** The project of what commands make, which no file may be called. */
export const COMMAND_PROJECT = "local";

/** The network of containers that name none. */
export const DEFAULT_NETWORK = "default";
