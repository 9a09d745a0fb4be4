/**
 * The keys of a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), by their paths: kind, default, and what
 * becomes of each here.
 *
 * Kept flat and as data, so that reading, defaults, messages, /configz and --write-config-to come from one table.
 * Facts: k8s.io/kube-proxy/config/v1alpha1/types.go and pkg/proxy/apis/config/v1alpha1/defaults.go, v1.36.
 *
 * @module
 */
import type { Kind, Value } from "../../lib/daemon/kinds.ts";

export const API_VERSION = "kubeproxy.config.k8s.io/v1alpha1";
export const KIND = "KubeProxyConfiguration";

export interface Key {
  readonly kind: Kind;
  /** What holds where the file says nothing, or null. */
  readonly initial: Value;
  /** Zero and the empty text mean the default, as kube-proxy has it: kubeadm writes every key, most as zero. */
  readonly unset?: "zero";
  /** Why setting it changes nothing. It is accepted, and named in a warning where it differs from the default. */
  readonly idle?: string;
}

const IPVS = "there is no ipvs mode";
const WINDOWS = "it is for Windows";
const KLOG = "it tunes kube-proxy's own logger";

export const KEYS = {
  featureGates: { kind: "gates", initial: {} },
  "clientConnection.kubeconfig": { kind: "text", initial: "" },
  "clientConnection.acceptContentTypes": { kind: "text", initial: "", idle: "the API is always asked for JSON" },
  "clientConnection.contentType": {
    kind: "text",
    initial: "application/vnd.kubernetes.protobuf",
    unset: "zero",
    idle: "the API is always asked for JSON",
  },
  "clientConnection.qps": { kind: "float", initial: 5, unset: "zero" },
  "clientConnection.burst": { kind: "int", initial: 10, unset: "zero" },
  "logging.format": { kind: "text", initial: "text", unset: "zero" },
  "logging.flushFrequency": { kind: "duration", initial: 5000, unset: "zero", idle: "every line is written at once" },
  "logging.verbosity": { kind: "int", initial: 0 },
  "logging.vmodule": { kind: "patterns", initial: [], idle: KLOG },
  "logging.options.text.splitStream": { kind: "bool", initial: false, idle: KLOG },
  "logging.options.text.infoBufferSize": { kind: "quantity", initial: "0", idle: KLOG },
  "logging.options.json.splitStream": { kind: "bool", initial: false, idle: KLOG },
  "logging.options.json.infoBufferSize": { kind: "quantity", initial: "0", idle: KLOG },
  hostnameOverride: { kind: "text", initial: "" },
  bindAddress: { kind: "text", initial: "0.0.0.0", unset: "zero" },
  // The defaults of these two follow bindAddress.
  healthzBindAddress: { kind: "text", initial: "0.0.0.0:10256", unset: "zero" },
  metricsBindAddress: { kind: "text", initial: "127.0.0.1:10249", unset: "zero" },
  bindAddressHardFail: { kind: "bool", initial: false },
  enableProfiling: { kind: "bool", initial: false, idle: "there is no /debug/pprof here" },
  showHiddenMetricsForVersion: { kind: "text", initial: "" },
  mode: { kind: "text", initial: "" },
  "iptables.masqueradeBit": { kind: "int", initial: 14 },
  "iptables.masqueradeAll": { kind: "bool", initial: false },
  "iptables.localhostNodePorts": { kind: "bool", initial: true },
  "iptables.syncPeriod": { kind: "duration", initial: 30_000, unset: "zero" },
  "iptables.minSyncPeriod": { kind: "duration", initial: 1000, unset: "zero" },
  "ipvs.syncPeriod": { kind: "duration", initial: 0, idle: IPVS },
  "ipvs.minSyncPeriod": { kind: "duration", initial: 0, idle: IPVS },
  "ipvs.scheduler": { kind: "text", initial: "", idle: IPVS },
  "ipvs.excludeCIDRs": { kind: "list", initial: [], idle: IPVS },
  "ipvs.strictARP": { kind: "bool", initial: false, idle: IPVS },
  "ipvs.tcpTimeout": { kind: "duration", initial: 0, idle: IPVS },
  "ipvs.tcpFinTimeout": { kind: "duration", initial: 0, idle: IPVS },
  "ipvs.udpTimeout": { kind: "duration", initial: 0, idle: IPVS },
  "nftables.masqueradeBit": { kind: "int", initial: 14 },
  "nftables.masqueradeAll": { kind: "bool", initial: false },
  "nftables.syncPeriod": { kind: "duration", initial: 30_000, unset: "zero" },
  "nftables.minSyncPeriod": { kind: "duration", initial: 1000, unset: "zero" },
  "winkernel.networkName": { kind: "text", initial: "", idle: WINDOWS },
  "winkernel.sourceVip": { kind: "text", initial: "", idle: WINDOWS },
  "winkernel.enableDSR": { kind: "bool", initial: false, idle: WINDOWS },
  "winkernel.rootHnsEndpointName": { kind: "text", initial: "", idle: WINDOWS },
  "winkernel.forwardHealthCheckVip": { kind: "bool", initial: false, idle: WINDOWS },
  detectLocalMode: { kind: "text", initial: "ClusterCIDR", unset: "zero" },
  "detectLocal.bridgeInterface": { kind: "text", initial: "" },
  "detectLocal.interfaceNamePrefix": { kind: "text", initial: "" },
  clusterCIDR: { kind: "text", initial: "" },
  nodePortAddresses: { kind: "list", initial: [] },
  oomScoreAdj: { kind: "int", initial: -999 },
  "conntrack.maxPerCore": { kind: "int", initial: 32_768 },
  "conntrack.min": { kind: "int", initial: 131_072 },
  "conntrack.tcpEstablishedTimeout": { kind: "duration", initial: 86_400_000 },
  "conntrack.tcpCloseWaitTimeout": { kind: "duration", initial: 3_600_000 },
  // Liberal here: kube-proxy's default, false, is what kubeadm writes for everybody, so it says nothing.
  "conntrack.tcpBeLiberal": { kind: "bool", initial: true, unset: "zero" },
  "conntrack.udpTimeout": { kind: "duration", initial: 0 },
  "conntrack.udpStreamTimeout": { kind: "duration", initial: 0 },
  configSyncPeriod: {
    kind: "duration",
    initial: 900_000,
    unset: "zero",
    idle: "a watch that stalls is noticed and opened anew, without a period",
  },
  portRange: { kind: "text", initial: "", idle: "it was for the userspace mode, which is gone" },
  windowsRunAsService: { kind: "bool", initial: false, idle: WINDOWS },
} as const satisfies Readonly<Record<string, Key>>;

export type Path = keyof typeof KEYS;

/** The paths whose values are of a kind. */
export type PathOf<K extends Kind> = { [P in Path]: (typeof KEYS)[P]["kind"] extends K ? P : never }[Path];

/** All paths, in the order of the type. */
export const paths: readonly Path[] = Object.keys(KEYS).filter(isPath);

export function isPath(text: string): text is Path {
  return Object.hasOwn(KEYS, text);
}

/** A key of the table, as any other. */
export function keyOf(path: Path): Key {
  return KEYS[path];
}
