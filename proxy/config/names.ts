/**
 * The flags: kube-proxy's by its names (1.36), and ours beside them. Data alone, since the command line reads it
 * to know which flags there are, and the proxy to know what they mean.
 *
 * @module
 */

import type { GoFlag } from "../../lib/daemon/flags.ts";
import type { Path } from "./keys.ts";

export interface Flag extends GoFlag {
  /** The key of the configuration that it sets. */
  readonly path?: Path;
  /** Why giving it changes nothing. */
  readonly idle?: string;
  /** It counts beside `--config` too. Others are replaced by what the file says, as kube-proxy does. */
  readonly beside?: true;
}

const KLOG = "it tunes kube-proxy's own logger";
const CADVISOR = "it is read by nothing here";

/** By name, without the dashes. */
export const FLAGS: Readonly<Record<string, Flag>> = {
  config: {
    kind: "text",
    help: "KubeProxyConfiguration to read; when it changes the proxy ends, to be started anew",
    beside: true,
  },
  "write-config-to": {
    kind: "text",
    help: "write the configuration, defaults filled in, to this file and end",
    beside: true,
  },
  cleanup: { kind: "bool", help: "remove all rules of both modes and end", beside: true },
  "init-only": { kind: "bool", help: "set the sysctls, which needs root, and end", beside: true },
  "hostname-override": {
    kind: "text",
    help: "name of the Node that this is, if not the host's",
    beside: true,
    path: "hostnameOverride",
  },
  kubeconfig: {
    kind: "text",
    help: "how to reach the API server (neither this nor --master: as a pod does)",
    path: "clientConnection.kubeconfig",
  },
  master: { kind: "text", help: "address of the API server, over that of the kubeconfig", beside: true },
  "proxy-mode": { kind: "text", help: "iptables or nftables (default: iptables where it works)", path: "mode" },

  "bind-address": { kind: "text", help: "the node's primary address; nothing is bound to it", path: "bindAddress" },
  "bind-address-hard-fail": { kind: "bool", help: "end if a port cannot be bound", path: "bindAddressHardFail" },
  "cluster-cidr": { kind: "text", help: "the pods' addresses, one CIDR a family", path: "clusterCIDR" },
  "detect-local-mode": {
    kind: "text",
    help: "what a pod of this node is known by: ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
    path: "detectLocalMode",
  },
  "pod-bridge-interface": {
    kind: "text",
    help: "for BridgeInterface: the bridge",
    path: "detectLocal.bridgeInterface",
  },
  "pod-interface-name-prefix": {
    kind: "text",
    help: "for InterfaceNamePrefix: what their names begin with",
    path: "detectLocal.interfaceNamePrefix",
  },
  "nodeport-addresses": {
    kind: "list",
    help: "CIDRs of the addresses that take node ports, or primary",
    path: "nodePortAddresses",
  },
  "iptables-localhost-nodeports": {
    kind: "bool",
    help: "iptables and IPv4: node ports on 127.0.0.1 too (default true)",
    path: "iptables.localhostNodePorts",
  },
  "iptables-masquerade-bit": {
    kind: "int",
    help: "bit of the packet mark that means masquerade (default 14)",
    path: "iptables.masqueradeBit",
  },
  "iptables-min-sync-period": { kind: "duration", help: "least time between two programmings (default 1s)" },
  "iptables-sync-period": {
    kind: "duration",
    help: "how often what failed is tried again and all is looked over (default 30s)",
  },
  "masquerade-all": { kind: "bool", help: "masquerade everything that goes to a cluster IP" },

  "conntrack-max-per-core": {
    kind: "int",
    help: "connections to track per CPU; 0 leaves the limit (default 32768)",
    path: "conntrack.maxPerCore",
  },
  "conntrack-min": { kind: "int", help: "connections to track at least (default 131072)", path: "conntrack.min" },
  "conntrack-tcp-be-liberal": {
    kind: "bool",
    help: "take TCP packets outside the window for valid; =false leaves the sysctl (default true)",
    path: "conntrack.tcpBeLiberal",
    // The file's false cannot be told from a key that nobody set.
    beside: true,
  },
  "conntrack-tcp-timeout-close-wait": {
    kind: "duration",
    help: "of TCP connections in CLOSE_WAIT; 0 leaves it (default 1h)",
    path: "conntrack.tcpCloseWaitTimeout",
  },
  "conntrack-tcp-timeout-established": {
    kind: "duration",
    help: "of idle TCP connections; 0 leaves it (default 24h)",
    path: "conntrack.tcpEstablishedTimeout",
  },
  "conntrack-udp-timeout": {
    kind: "duration",
    help: "of unreplied UDP flows; 0 leaves it",
    path: "conntrack.udpTimeout",
  },
  "conntrack-udp-timeout-stream": {
    kind: "duration",
    help: "of UDP flows that go both ways; 0 leaves it",
    path: "conntrack.udpStreamTimeout",
  },

  "healthz-bind-address": {
    kind: "text",
    help: "where /healthz and /livez are (default 0.0.0.0:10256)",
    path: "healthzBindAddress",
  },
  "metrics-bind-address": {
    kind: "text",
    help: "where /metrics is; empty: nowhere (default 127.0.0.1:10249)",
    path: "metricsBindAddress",
  },
  "show-hidden-metrics-for-version": {
    kind: "text",
    help: "show metrics that this version of Kubernetes hid",
    path: "showHiddenMetricsForVersion",
  },
  "kube-api-burst": {
    kind: "int",
    help: "requests to the API server at once (default 10)",
    path: "clientConnection.burst",
  },
  "kube-api-qps": {
    kind: "float",
    help: "requests to the API server a second (default 5)",
    path: "clientConnection.qps",
  },
  "oom-score-adj": {
    kind: "int",
    help: "how unlikely the kernel is to end it for its memory (default -999)",
    path: "oomScoreAdj",
  },
  "feature-gates": {
    kind: "gates",
    help: "Name=true, ...; accepted, and named where it changes nothing",
    path: "featureGates",
  },
  v: {
    kind: "int",
    help: "how much to log: 2 every sync, 4 every object (default 0)",
    path: "logging.verbosity",
    beside: true,
  },
  "logging-format": { kind: "text", help: "text or json (default text)", path: "logging.format", beside: true },
  version: { kind: "text", help: "print the version and end", bare: "true", beside: true },

  "boot-id-file": { kind: "text", help: "accepted", idle: CADVISOR },
  "machine-id-file": { kind: "text", help: "accepted", idle: CADVISOR },
  "config-sync-period": { kind: "duration", help: "accepted", path: "configSyncPeriod" },
  "healthz-port": { kind: "int", help: "deprecated: port of --healthz-bind-address; 0: nowhere" },
  "metrics-port": { kind: "int", help: "deprecated: port of --metrics-bind-address; 0: nowhere" },
  "ipvs-exclude-cidrs": { kind: "list", help: "accepted", path: "ipvs.excludeCIDRs" },
  "ipvs-min-sync-period": { kind: "duration", help: "accepted", path: "ipvs.minSyncPeriod" },
  "ipvs-scheduler": { kind: "text", help: "accepted", path: "ipvs.scheduler" },
  "ipvs-strict-arp": { kind: "bool", help: "accepted", path: "ipvs.strictARP" },
  "ipvs-sync-period": { kind: "duration", help: "accepted", path: "ipvs.syncPeriod" },
  "ipvs-tcp-timeout": { kind: "duration", help: "accepted", path: "ipvs.tcpTimeout" },
  "ipvs-tcpfin-timeout": { kind: "duration", help: "accepted", path: "ipvs.tcpFinTimeout" },
  "ipvs-udp-timeout": { kind: "duration", help: "accepted", path: "ipvs.udpTimeout" },
  "kube-api-content-type": { kind: "text", help: "accepted", path: "clientConnection.contentType" },
  "log-flush-frequency": { kind: "duration", help: "accepted", path: "logging.flushFrequency", beside: true },
  "log-json-info-buffer-size": {
    kind: "quantity",
    help: "accepted",
    path: "logging.options.json.infoBufferSize",
    beside: true,
  },
  "log-json-split-stream": { kind: "bool", help: "accepted", path: "logging.options.json.splitStream", beside: true },
  "log-text-info-buffer-size": {
    kind: "quantity",
    help: "accepted",
    path: "logging.options.text.infoBufferSize",
    beside: true,
  },
  "log-text-split-stream": { kind: "bool", help: "accepted", path: "logging.options.text.splitStream", beside: true },
  profiling: { kind: "bool", help: "accepted", path: "enableProfiling" },
  vmodule: { kind: "patterns", help: "accepted", path: "logging.vmodule", idle: KLOG, beside: true },

  manifests: {
    kind: "text",
    help: "directory of Services, EndpointSlices and Nodes in YAML or JSON, instead of an API server",
    beside: true,
    ours: true,
  },
  once: { kind: "bool", help: "with --manifests: program what is there and end", beside: true, ours: true },
  "dry-run": {
    kind: "bool",
    help: "print the rules that would be made, change nothing, and end",
    beside: true,
    ours: true,
  },
  "drop-invalid": {
    kind: "bool",
    help: "drop packets that conntrack finds invalid, as kube-proxy does",
    beside: true,
    ours: true,
  },
  "flush-tcp": { kind: "bool", help: "end TCP connections to endpoints that are gone", beside: true, ours: true },
};
