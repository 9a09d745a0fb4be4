import { describe, expect, test } from "vitest";
import { isTsnetError } from "../../../lib/errors.ts";
import { type ProxyFlags, settingsFrom } from "../../../proxy/config/flags.ts";
import type { ProxySettings } from "../../../proxy/settings.ts";

const DEFAULTS: Partial<ProxySettings> = {
  source: { kind: "kubernetes", kubeconfig: "", master: "", qps: 5, burst: 10 },
  nodeName: "node1",
  mode: undefined,
  bindAddress: "0.0.0.0",
  minSyncPeriod: 1000,
  syncPeriod: 30_000,
  masqueradeAll: false,
  masqueradeBit: 14,
  localhostNodePorts: true,
  dropInvalid: false,
  detectLocalMode: "ClusterCIDR",
  clusterCIDRs: [],
  bridgeInterface: "",
  interfaceNamePrefix: "",
  nodePortAddresses: undefined,
  conntrack: {
    maxPerCore: 32_768,
    min: 131_072,
    tcpEstablishedTimeout: 86_400_000,
    tcpCloseWaitTimeout: 3_600_000,
    udpTimeout: undefined,
    udpStreamTimeout: undefined,
    tcpBeLiberal: true,
  },
  healthzBindAddress: "0.0.0.0:10256",
  metricsBindAddress: "127.0.0.1:10249",
  bindAddressHardFail: false,
  showHiddenMetrics: false,
  verbosity: 0,
  logFormat: "text",
  flushTcp: false,
  initOnly: false,
  dryRun: false,
  cleanup: false,
  writeConfigTo: "",
  configFile: "",
  oomScoreAdj: -999,
};

describe("settings from flags", () => {
  test("without any they are kube-proxy's defaults, but that TCP is liberal", () => {
    const { configz: _, ...settings } = settle({}).settings;

    expect(settings).toEqual(DEFAULTS);
  });

  test.each<[ProxyFlags, Partial<ProxySettings>]>([
    [{ "hostname-override": [" Node-A.Example "] }, { nodeName: "node-a.example" }],
    [{ "proxy-mode": ["nftables"] }, { mode: "nftables" }],
    [{ "proxy-mode": ["iptables"] }, { mode: "iptables" }],
    [{ "proxy-mode": [""] }, { mode: undefined }],
    [{ "cluster-cidr": ["10.244.0.0/16,fd00::/48"] }, { clusterCIDRs: ["10.244.0.0/16", "fd00::/48"] }],
    [{ "iptables-masquerade-bit": ["0xa"] }, { masqueradeBit: 10 }],
    // kube-proxy has no flag for the bit of nftables mode either.
    [
      { "iptables-masquerade-bit": ["10"], "proxy-mode": ["nftables"] },
      { mode: "nftables", masqueradeBit: 14 },
    ],
    [
      { "masquerade-all": ["t"], "proxy-mode": ["nftables"] },
      { mode: "nftables", masqueradeAll: true },
    ],
    [{ "masquerade-all": ["true", "false"] }, { masqueradeAll: false }],
    [
      { "iptables-sync-period": ["1m30s"], "proxy-mode": ["nftables"] },
      { mode: "nftables", syncPeriod: 90_000 },
    ],
    [{ "iptables-min-sync-period": ["0"] }, { minSyncPeriod: 0 }],
    [{ "iptables-localhost-nodeports": ["false"] }, { localhostNodePorts: false }],
    [
      { "nodeport-addresses": ["10.0.0.0/8,192.168.0.0/16", "fd00::/8"] },
      { nodePortAddresses: ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"] },
    ],
    [{ "nodeport-addresses": ["primary"] }, { nodePortAddresses: ["primary"] }],
    [
      { "detect-local-mode": ["BridgeInterface"], "pod-bridge-interface": ["cni0"] },
      { detectLocalMode: "BridgeInterface", bridgeInterface: "cni0" },
    ],
    [
      { "detect-local-mode": ["InterfaceNamePrefix"], "pod-interface-name-prefix": ["veth"] },
      { detectLocalMode: "InterfaceNamePrefix", interfaceNamePrefix: "veth" },
    ],
    [{ "healthz-bind-address": ["127.0.0.1"] }, { healthzBindAddress: "127.0.0.1:10256" }],
    [{ "metrics-bind-address": ["::"] }, { metricsBindAddress: "[::]:10249" }],
    [{ "metrics-bind-address": [""] }, { metricsBindAddress: "" }],
    [
      { "bind-address": ["fd00::1"] },
      { bindAddress: "fd00::1", healthzBindAddress: "[::]:10256", metricsBindAddress: "[::1]:10249" },
    ],
    [{ "healthz-port": ["0"] }, { healthzBindAddress: "" }],
    [{ "metrics-port": ["9999"] }, { metricsBindAddress: "127.0.0.1:9999" }],
    [{ v: ["4"] }, { verbosity: 4 }],
    [{ v: ["99"] }, { verbosity: 10 }],
    [{ "logging-format": ["json"] }, { logFormat: "json" }],
    [{ "oom-score-adj": ["-5"] }, { oomScoreAdj: -5 }],
    [{ "show-hidden-metrics-for-version": ["1.35"] }, { showHiddenMetrics: true }],
    [
      { kubeconfig: ["/k"], master: ["https://m"], "kube-api-qps": ["2.5"], "kube-api-burst": ["7"] },
      { source: { kind: "kubernetes", kubeconfig: "/k", master: "https://m", qps: 2.5, burst: 7 } },
    ],
    [
      { manifests: ["/etc/services"], once: ["true"] },
      { source: { kind: "manifests", directory: "/etc/services", once: true } },
    ],
    [
      { "drop-invalid": ["true"], "flush-tcp": ["true"] },
      { dropInvalid: true, flushTcp: true },
    ],
    [
      { "init-only": ["true"], cleanup: ["1"], "dry-run": ["T"], "write-config-to": ["/w"] },
      { initOnly: true, cleanup: true, dryRun: true, writeConfigTo: "/w" },
    ],
  ])("%j", (flags, changed) => {
    const { configz: _, ...settings } = settle(flags).settings;

    expect(settings).toEqual({ ...DEFAULTS, ...changed });
  });

  test("conntrack's 0 leaves what the kernel has", () => {
    const zero = ["max-per-core", "min", "tcp-timeout-established", "tcp-timeout-close-wait"].map((name) => [
      `conntrack-${name}`,
      ["0"],
    ]);
    const { settings } = settle({
      ...Object.fromEntries(zero),
      "conntrack-udp-timeout": ["30s"],
      "conntrack-udp-timeout-stream": ["3m"],
      "conntrack-tcp-be-liberal": ["false"],
    });

    expect(settings.conntrack).toEqual({
      maxPerCore: undefined,
      min: undefined,
      tcpEstablishedTimeout: undefined,
      tcpCloseWaitTimeout: undefined,
      udpTimeout: 30_000,
      udpStreamTimeout: 180_000,
      tcpBeLiberal: false,
    });
  });

  test("what changes nothing is named", () => {
    const { warnings } = settle({
      "ipvs-scheduler": ["rr"],
      "ipvs-strict-arp": ["true"],
      "boot-id-file": ["/x"],
      profiling: ["true"],
      "config-sync-period": ["1m"],
      "kube-api-content-type": ["application/vnd.kubernetes.protobuf"],
      "healthz-port": ["10256"],
      "feature-gates": ["TopologyAwareHints=true,WatchListClient=false", "SELinuxMount=true"],
    });

    expect(warnings).toEqual([
      "--boot-id-file: it is read by nothing here",
      "--healthz-port is deprecated: write --healthz-bind-address",
      "--profiling: it changes nothing here, there is no /debug/pprof here",
      "--ipvs-scheduler: it changes nothing here, there is no ipvs mode",
      "--ipvs-strict-arp: it changes nothing here, there is no ipvs mode",
      "--config-sync-period: it changes nothing here, a watch that stalls is noticed and opened anew, without a period",
      "featureGates.WatchListClient: what it turns off is always on here",
      "featureGates.SELinuxMount: it changes nothing here",
    ]);
  });

  test.each<[ProxyFlags, string]>([
    [
      { "conntrack-min": ["many"], v: ["x"] },
      "--conntrack-min=many: wanted is a whole number\n--v=x: wanted is a whole number",
    ],
    [{ "conntrack-min": ["4294967296"] }, "--conntrack-min=4294967296: wanted is a whole number"],
    [{ "masquerade-all": ["yes"] }, "--masquerade-all=yes: wanted is true or false"],
    [{ "iptables-sync-period": ["30"] }, "--iptables-sync-period=30: wanted is a duration such as 30s, 1m30s or 2h"],
    [
      { "iptables-sync-period": ["0s"] },
      "iptables.syncPeriod: it is not more than 0\niptables.syncPeriod: it is less than iptables.minSyncPeriod",
    ],
    [{ "proxy-mode": ["nftable"] }, 'mode: "nftable" is not one of iptables, nftables: did you mean nftables?'],
    [
      { "proxy-mode": ["ipvs"] },
      "mode: ipvs is not there (nor in Kubernetes for long): choose nftables, which is as fast, or iptables",
    ],
    [{ "iptables-masquerade-bit": ["32"] }, "iptables.masqueradeBit: 32 is not within 0 to 31"],
    [{ "cluster-cidr": ["10.0.0.0"] }, 'clusterCIDR: "10.0.0.0" is no CIDR'],
    [{ "cluster-cidr": ["10.0.0.0/8,11.0.0.0/8"] }, "clusterCIDR: one CIDR, or one of each family"],
    [
      { "detect-local-mode": ["BridgeInterface"] },
      "detectLocal.bridgeInterface: detectLocalMode BridgeInterface needs it",
    ],
    [{ "nodeport-addresses": ["primary,10.0.0.0/8"] }, "nodePortAddresses: primary does not go with others"],
    [{ "metrics-bind-address": ["localhost:80"] }, 'metricsBindAddress: "localhost:80" is no ADDRESS:PORT'],
    [{ "feature-gates": ["A"] }, "--feature-gates=A: wanted is feature gates, such as SomeFeature=true"],
    [{ once: ["true"] }, "--once goes with --manifests DIR alone"],
    [{ nonsense: ["1"] }, "no such flag: --nonsense"],
  ])("%j is a usage error", (flags, message) => {
    expect(failure(flags)).toEqual({ code: "usage", message });
  });

  test("a node without a name is told how to get one", () => {
    expect(failure({ "hostname-override": ["  "] })).toEqual({
      code: "invalid",
      message: "the host name override is blank: name the Node with --hostname-override",
    });
  });
});

function settle(flags: ProxyFlags) {
  const warnings: string[] = [];
  const settings = settingsFrom(flags, (text) => warnings.push(text), {
    readFile: () => undefined,
    hostname: () => "Node1\n",
  });
  return { settings, warnings };
}

function failure(flags: ProxyFlags) {
  try {
    return settle(flags).settings;
  } catch (error) {
    return isTsnetError(error) ? { code: error.code, message: error.message } : error;
  }
}
