/**
 * What an agent is told to do, every default filled in.
 *
 * @module
 */
import type { Address } from "../lib/net/address.ts";
import type { Parts } from "./types.ts";

export interface OverlaySettings {
  readonly source: SourceSettings;
  /** This host's name: its Node, its entry in the file. */
  readonly nodeName: string;
  readonly underlay: UnderlaySettings;
  /** What leaves the cluster leaves with the host's address. */
  readonly masquerade: boolean;
  readonly randomFully: boolean;
  /** Accept what is forwarded from and to the network. */
  readonly forwardRules: boolean;
  /** Undefined: as the network says, else what this host has. */
  readonly firewall: "iptables" | "nftables" | undefined;
  readonly subnetFile: string;
  /** For what ends with the boot: /run/tsnet/overlay. */
  readonly stateDir: string;
  /** For what stays: /var/lib/tsnet/overlay. */
  readonly dataDir: string;
  readonly conflist: ConflistSettings;
  /** `host:port`; empty: not served. */
  readonly healthzAddress: string;
  readonly metricsAddress: string;
  /** Ms between two comparisons with the kernel. */
  readonly comparePeriod: number;
  /** Ms between two probes of all peers; 0: never. */
  readonly probePeriod: number;
  /** Take the lease that this host's address has, though its MAC is another's. */
  readonly replaceLease: boolean;
  /** A blackhole route for our own subnet, for where no bridge has it. */
  readonly blackholeRoute: boolean;
  readonly logFormat: "text" | "json";
  readonly verbosity: number;
}

export type SourceSettings = StaticSettings | EtcdSettings | KubeSettings;

export interface StaticSettings {
  readonly kind: "static";
  readonly file: string;
}

export interface EtcdSettings {
  readonly kind: "etcd";
  /** URLs. */
  readonly endpoints: readonly string[];
  /** Without a slash at the end: `/coreos.com/network`. */
  readonly prefix: string;
  /** Paths of PEM files; empty: none. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly username: string;
  readonly password: string;
  /** Ms that a lease lasts, and before its end when it is renewed. */
  readonly ttl: number;
  readonly renewMargin: number;
}

export interface KubeSettings {
  readonly kind: "kube";
  readonly kubeconfig: string;
  readonly master: string;
  /** With its slash: `flannel.alpha.coreos.com/`. */
  readonly annotationPrefix: string;
  readonly netConfPath: string;
  readonly setNetworkUnavailable: boolean;
}

/** How the interface to the other hosts is found, in this order; none given: by the default route. */
export interface UnderlaySettings {
  /** Names or addresses; the first that is there. */
  readonly interfaces: readonly string[];
  /** Regular expressions for names or addresses. */
  readonly expressions: readonly string[];
  /** The interface of the route there. */
  readonly canReach: Address | undefined;
  /** What others are told, of each family; also picks the interface where nothing else does. */
  readonly publicAddresses: Parts<Address>;
}

export interface ConflistSettings {
  /** Empty: none is written. */
  readonly path: string;
  /** The network's name, `tsnet` unless given. */
  readonly name: string;
  readonly bridge: string;
}
