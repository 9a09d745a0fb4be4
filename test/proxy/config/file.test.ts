import { describe, expect, test } from "vitest";
import { isTsnetError } from "../../../lib/errors.ts";
import { type ProxyFlags, settingsFrom } from "../../../proxy/config/flags.ts";
import { configText, unsaid } from "../../../proxy/config/write.ts";
import { kubeadmConfig } from "./kubeadm.ts";

const HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

const KUBEADM = kubeadmConfig("10.244.0.0/16");

/** What kube-proxy 1.36 writes of its defaults, but for tcpBeLiberal and the mode, which is chosen by the host here. */
const DEFAULTS = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection:
  kubeconfig: ""
  acceptContentTypes: ""
  contentType: application/vnd.kubernetes.protobuf
  qps: 5
  burst: 10
logging:
  format: text
  flushFrequency: 5s
  verbosity: 0
  options:
    text:
      infoBufferSize: "0"
    json:
      infoBufferSize: "0"
hostnameOverride: ""
bindAddress: 0.0.0.0
healthzBindAddress: 0.0.0.0:10256
metricsBindAddress: 127.0.0.1:10249
bindAddressHardFail: false
enableProfiling: false
showHiddenMetricsForVersion: ""
mode: ""
iptables:
  masqueradeBit: 14
  masqueradeAll: false
  localhostNodePorts: true
  syncPeriod: 30s
  minSyncPeriod: 1s
ipvs:
  syncPeriod: 0s
  minSyncPeriod: 0s
  scheduler: ""
  excludeCIDRs: null
  strictARP: false
  tcpTimeout: 0s
  tcpFinTimeout: 0s
  udpTimeout: 0s
nftables:
  masqueradeBit: 14
  masqueradeAll: false
  syncPeriod: 0s
  minSyncPeriod: 0s
winkernel:
  networkName: ""
  sourceVip: ""
  enableDSR: false
  rootHnsEndpointName: ""
  forwardHealthCheckVip: false
detectLocalMode: ClusterCIDR
detectLocal:
  bridgeInterface: ""
  interfaceNamePrefix: ""
clusterCIDR: ""
nodePortAddresses: null
oomScoreAdj: -999
conntrack:
  maxPerCore: 32768
  min: 131072
  tcpEstablishedTimeout: 24h0m0s
  tcpCloseWaitTimeout: 1h0m0s
  tcpBeLiberal: true
  udpTimeout: 0s
  udpStreamTimeout: 0s
configSyncPeriod: 15m0s
portRange: ""
`;

describe("a KubeProxyConfiguration", () => {
  test("kubeadm's, which sets every key to nothing, is the defaults, without a word", () => {
    const { settings, warnings } = settle(KUBEADM);
    const plain = settle(HEAD).settings;

    expect(warnings).toEqual([]);
    expect(settings).toEqual({
      ...plain,
      source: { ...plain.source, kubeconfig: "/var/lib/kube-proxy/kubeconfig.conf" },
      clusterCIDRs: ["10.244.0.0/16"],
      configz: settings.configz,
    });
    expect(settings.conntrack.tcpBeLiberal).toBe(true);
  });

  test("may be JSON", () => {
    const text = `{"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration","mode":"nftables"}`;

    expect(settle(text).settings.mode).toBe("nftables");
  });

  test("has the mark, the masquerade and the periods from the section of its mode", () => {
    const sections = (mode: string) => `${HEAD}mode: ${mode}
iptables: { masqueradeBit: 1, masqueradeAll: true, syncPeriod: 20s, minSyncPeriod: 2s }
nftables: { masqueradeBit: 3, syncPeriod: 40s, minSyncPeriod: 4s }\n`;

    expect(settle(sections("iptables")).settings).toMatchObject({
      masqueradeBit: 1,
      masqueradeAll: true,
      syncPeriod: 20_000,
      minSyncPeriod: 2000,
    });
    expect(settle(sections("nftables")).settings).toMatchObject({
      masqueradeBit: 3,
      masqueradeAll: false,
      syncPeriod: 40_000,
      minSyncPeriod: 4000,
    });
  });

  test("replaces the flags, but for those that count beside it", () => {
    const { settings, warnings } = settle(`${HEAD}hostnameOverride: other\nlogging: { verbosity: 1 }\n`, {
      "hostname-override": ["node7"],
      v: ["5"],
      "proxy-mode": ["nftables"],
      "cluster-cidr": ["10.0.0.0/8"],
      master: ["https://m"],
      "drop-invalid": ["true"],
      "conntrack-tcp-be-liberal": ["false"],
    });

    expect(warnings).toEqual(["with --config these flags count for nothing: --proxy-mode, --cluster-cidr"]);
    expect(settings).toMatchObject({
      nodeName: "node7",
      verbosity: 5,
      mode: undefined,
      clusterCIDRs: [],
      dropInvalid: true,
      source: { master: "https://m" },
      conntrack: { tcpBeLiberal: false },
    });
  });

  test("names keys that nobody knows, with the nearest, and those that change nothing", () => {
    const { settings, warnings } = settle(`${HEAD}conntrack: { maxPerCor: 1, min: 5 }
iptable: { masqueradeBit: 3 }
iptables: { masqueradeAl: true }
clusterCidr: 10.0.0.0/8
something: { entirely: different }
ipvs: { scheduler: rr, strictARP: true }
winkernel: { enableDSR: true }
logging: { vmodule: [{ filePattern: "proxier*", verbosity: 4 }] }
featureGates: { ContextualLogging: true, AllAlpha: true }
mode: iptables
mode: nftables
`);

    expect(warnings).toEqual([
      "/etc/proxy.conf: Map keys must be unique at line 13, column 1:\n\nmode: iptables\nmode: nftables\n^",
      "/etc/proxy.conf: conntrack.maxPerCor: no such key, the nearest is conntrack.maxPerCore; it is left out",
      "/etc/proxy.conf: iptable: no such key, the nearest is iptables; it is left out",
      "/etc/proxy.conf: iptables.masqueradeAl: no such key, the nearest is iptables.masqueradeAll; it is left out",
      "/etc/proxy.conf: clusterCidr: no such key, the nearest is clusterCIDR; it is left out",
      "/etc/proxy.conf: something: no such key; it is left out",
      "logging.vmodule: it changes nothing here, it tunes kube-proxy's own logger",
      "ipvs.scheduler: it changes nothing here, there is no ipvs mode",
      "ipvs.strictARP: it changes nothing here, there is no ipvs mode",
      "winkernel.enableDSR: it changes nothing here, it is for Windows",
      "featureGates.AllAlpha: it changes nothing here",
    ]);
    expect(settings.conntrack.min).toBe(5);
  });

  test("is refused with all that is wrong with it at once", () => {
    expect(
      failure(`${HEAD}conntrack: { maxPerCore: many, min: 1.5, udpTimeout: 30 sec }
iptables: [masqueradeAll]
mode: 7
nodePortAddresses: 10.0.0.0/8
featureGates: { A: "yes" }
`),
    ).toEqual({
      code: "invalid",
      message: `/etc/proxy.conf: conntrack.maxPerCore: it is "many", wanted is a whole number
/etc/proxy.conf: conntrack.min: it is 1.5, wanted is a whole number
/etc/proxy.conf: conntrack.udpTimeout: it is "30 sec", wanted is a duration such as 30s, 1m30s or 2h
/etc/proxy.conf: iptables: it is ["masqueradeAll"], wanted are keys below it
/etc/proxy.conf: mode: it is 7, wanted is a text
/etc/proxy.conf: nodePortAddresses: it is "10.0.0.0/8", wanted is a list of texts
/etc/proxy.conf: featureGates: it is {"A":"yes"}, wanted is feature gates, such as SomeFeature=true`,
    });
    expect(
      failure(`${HEAD}conntrack: { maxPerCore: -1, udpTimeout: -3s }
iptables: { masqueradeBit: 40, minSyncPeriod: 1m }
oomScoreAdj: 5000
bindAddress: here
healthzBindAddress: 0.0.0.0:99999
nodePortAddresses: [primary, 10.0.0.0]
detectLocalMode: NodeCidr
logging: { format: yaml }
`),
    ).toEqual({
      code: "invalid",
      message: `/etc/proxy.conf: detectLocalMode: "NodeCidr" is not one of ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix: did you mean NodeCIDR?
/etc/proxy.conf: logging.format: "yaml" is not one of text, json
/etc/proxy.conf: iptables.masqueradeBit: 40 is not within 0 to 31
/etc/proxy.conf: oomScoreAdj: 5000 is not within -1000 to 1000
/etc/proxy.conf: conntrack.maxPerCore: -1 is not 0 or more
/etc/proxy.conf: conntrack.udpTimeout: -3000 is not 0 or more
/etc/proxy.conf: iptables.syncPeriod: it is less than iptables.minSyncPeriod
/etc/proxy.conf: bindAddress: "here" is no IP address
/etc/proxy.conf: healthzBindAddress: "0.0.0.0:99999" is no ADDRESS:PORT
/etc/proxy.conf: nodePortAddresses: primary does not go with others
/etc/proxy.conf: nodePortAddresses[1]: "10.0.0.0" is no CIDR`,
    });
  });

  test.each([
    [
      "",
      "it is no mapping of keys: it begins with apiVersion: kubeproxy.config.k8s.io/v1alpha1 and kind: KubeProxyConfiguration",
    ],
    [
      "- a\n",
      "it is no mapping of keys: it begins with apiVersion: kubeproxy.config.k8s.io/v1alpha1 and kind: KubeProxyConfiguration",
    ],
    [
      "apiVersion: v1\nkind: ConfigMap\n",
      'apiVersion: it is "v1", known is kubeproxy.config.k8s.io/v1alpha1\n/etc/proxy.conf: kind: it is "ConfigMap", wanted is KubeProxyConfiguration',
    ],
    [
      "mode: nftables\n",
      "apiVersion: it is missing, known is kubeproxy.config.k8s.io/v1alpha1\n/etc/proxy.conf: kind: it is missing, wanted is KubeProxyConfiguration",
    ],
  ])("%j is none", (text, message) => {
    expect(failure(text)).toEqual({ code: "invalid", message: `/etc/proxy.conf: ${message}` });
  });

  test("text that is no YAML is refused with its line", () => {
    expect(failure(`${HEAD}mode: [unclosed\n`)).toMatchObject({
      code: "invalid",
      message: expect.stringContaining("/etc/proxy.conf: Flow sequence in block collection"),
    });
  });

  test("a file that is not there is named", () => {
    expect(() =>
      settingsFrom({ config: ["/no/such"] }, undefined, { readFile: () => undefined, hostname: () => "n" }),
    ).toThrow("no file /no/such, which --config names");
  });
});

describe("--write-config-to", () => {
  test("writes every key with its default", () => {
    expect(configText(settingsFrom({ "hostname-override": [""] }, undefined, anyHost))).toBe(DEFAULTS);
  });

  test.each<ProxyFlags>([
    {},
    { "proxy-mode": ["nftables"], "masquerade-all": ["true"], "iptables-sync-period": ["1m"] },
    { "proxy-mode": ["iptables"], "iptables-masquerade-bit": ["3"], "iptables-localhost-nodeports": ["false"] },
    { "cluster-cidr": ["10.0.0.0/8,fd00::/8"], "nodeport-addresses": ["primary"], vmodule: ["a=1,b=2"] },
    { "detect-local-mode": ["InterfaceNamePrefix"], "pod-interface-name-prefix": ["veth"], "oom-score-adj": ["0"] },
    { "bind-address": ["fd00::1"], "metrics-port": ["9"], v: ["4"], "logging-format": ["json"] },
    { "conntrack-max-per-core": ["0"], "conntrack-udp-timeout": ["1.5s"], "feature-gates": ["A=true,B=false"] },
    { kubeconfig: ["/k"], "kube-api-qps": ["2.5"], "kube-api-burst": ["20"], "hostname-override": ["n2"] },
  ])("%j reads back to the same settings", (flags) => {
    const settings = settingsFrom(flags, undefined, anyHost);
    const again = settle(configText(settings)).settings;

    expect(again).toEqual({ ...settings, configFile: "/etc/proxy.conf" });
    expect(unsaid(settings)).toEqual([]);
  });

  test("what no key can say is named", () => {
    const settings = settingsFrom(
      {
        manifests: ["/m"],
        "drop-invalid": ["true"],
        "flush-tcp": ["true"],
        "conntrack-tcp-be-liberal": ["false"],
        "iptables-min-sync-period": ["0"],
        "healthz-port": ["0"],
        "metrics-bind-address": [""],
      },
      undefined,
      anyHost,
    );

    expect(unsaid(settings)).toEqual([
      "--manifests",
      "--drop-invalid",
      "--flush-tcp",
      "--conntrack-tcp-be-liberal=false",
      "--iptables-min-sync-period",
      "--healthz-bind-address",
      "--metrics-bind-address",
    ]);
  });
});

const anyHost = { readFile: () => undefined, hostname: () => "node1" };

function settle(text: string, flags: ProxyFlags = {}) {
  const warnings: string[] = [];
  const settings = settingsFrom({ config: ["/etc/proxy.conf"], ...flags }, (line) => warnings.push(line), {
    readFile: (path) => (path === "/etc/proxy.conf" ? text : undefined),
    hostname: () => "node1",
  });
  return { settings, warnings };
}

function failure(text: string) {
  try {
    return settle(text).settings;
  } catch (error) {
    return isTsnetError(error) ? { code: error.code, message: error.message } : error;
  }
}
