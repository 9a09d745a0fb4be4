/**
 * What a proxy was told to do: flags and KubeProxyConfiguration, parsed, with all defaults filled in.
 *
 * @module
 */
import type { ProxyMode } from "./backend.ts";

export type DetectLocalMode = "ClusterCIDR" | "NodeCIDR" | "BridgeInterface" | "InterfaceNamePrefix";

/** Times are in ms, addresses `host:port` with IPv6 in brackets. */
export interface ProxySettings {
  readonly source:
    | { readonly kind: "manifests"; readonly directory: string; readonly once: boolean }
    | {
        readonly kind: "kubernetes";
        /** Empty: in-cluster. */
        readonly kubeconfig: string;
        /** Overrides the kubeconfig's server; empty: does not. */
        readonly master: string;
        readonly qps: number;
        readonly burst: number;
      };
  readonly nodeName: string;
  /** Undefined: iptables where it works, else nftables. */
  readonly mode: ProxyMode | undefined;
  /** Of `bindAddress`: the primary family, where the node's addresses do not tell. */
  readonly bindAddress: string;
  readonly minSyncPeriod: number;
  readonly syncPeriod: number;
  readonly masqueradeAll: boolean;
  readonly masqueradeBit: number;
  readonly localhostNodePorts: boolean;
  readonly dropInvalid: boolean;
  readonly detectLocalMode: DetectLocalMode;
  readonly clusterCIDRs: readonly string[];
  readonly bridgeInterface: string;
  readonly interfaceNamePrefix: string;
  /** Undefined: all in iptables mode, primary in nftables mode. */
  readonly nodePortAddresses: readonly string[] | undefined;
  readonly conntrack: ConntrackSettings;
  /** Empty: not served. */
  readonly healthzBindAddress: string;
  readonly metricsBindAddress: string;
  readonly bindAddressHardFail: boolean;
  readonly showHiddenMetrics: boolean;
  /** 0 to 10; 2 and up tell of every sync, 4 and up of every object. */
  readonly verbosity: number;
  readonly logFormat: "text" | "json";
  /** Delete TCP flows to endpoints that are gone too. */
  readonly flushTcp: boolean;
  /** Program and leave: sysctls only. */
  readonly initOnly: boolean;
  readonly dryRun: boolean;
  /** Remove all rules and leave. */
  readonly cleanup: boolean;
  /** Write {@link configz} to this file and leave; empty: do not. */
  readonly writeConfigTo: string;
  /** The KubeProxyConfiguration that was read; empty: flags alone. */
  readonly configFile: string;
  /** -1000 to 1000, for /proc/self/oom_score_adj. */
  readonly oomScoreAdj: number;
  /** What /configz shows: KubeProxyConfiguration with all defaults. Its `mode` is empty where {@link mode} is undefined. */
  readonly configz: Readonly<Record<string, unknown>>;
}

/** Undefined: left as it is. */
export interface ConntrackSettings {
  readonly maxPerCore: number | undefined;
  readonly min: number | undefined;
  /** ms, as all. */
  readonly tcpEstablishedTimeout: number | undefined;
  readonly tcpCloseWaitTimeout: number | undefined;
  readonly udpTimeout: number | undefined;
  readonly udpStreamTimeout: number | undefined;
  readonly tcpBeLiberal: boolean;
}
