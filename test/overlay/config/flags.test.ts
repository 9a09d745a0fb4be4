import { describe, expect, test } from "vitest";
import type { Flags } from "../../../lib/daemon/flags.ts";
import { isTsnetError, messageOf } from "../../../lib/errors.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import type { Environment } from "../../../overlay/config/environment.ts";
import { settingsFrom } from "../../../overlay/config/flags.ts";
import { FLAGS } from "../../../overlay/config/names.ts";

/** flanneld --help of 0.28.4, and what it takes from its logger. */
const FLANNEL = [
  ...["etcd-cafile", "etcd-certfile", "etcd-endpoints", "etcd-keyfile", "etcd-password", "etcd-prefix"],
  ...["etcd-username", "healthz-ip", "healthz-port", "iface", "iface-can-reach", "iface-regex", "ip-blackhole-route"],
  ...["ip-masq", "ip-masq-fully-random-disable", "iptables-forward-rules", "iptables-resync"],
  ...["kube-annotation-prefix", "kube-api-url", "kube-subnet-mgr", "kubeconfig-file", "log-backtrace-at"],
  ...["net-config-path", "public-ip", "public-ipv6", "set-node-network-unavailable", "subnet-file"],
  ...["subnet-lease-renew-margin", "v", "version", "vmodule"],
];

test("flannel's flags are there, all of them, and no other calls itself flannel's", () => {
  const theirs = Object.keys(FLAGS).filter((name) => FLAGS[name]?.ours !== true);
  expect(theirs.toSorted()).toEqual(FLANNEL);
});

describe("settings from flags", () => {
  test("without any: the file, every default, nothing listening", () => {
    expect(read({})).toEqual({
      settings: {
        source: { kind: "static", file: "/etc/tsnet/overlay.yaml" },
        nodeName: "Host1",
        underlay: { interfaces: [], expressions: [], canReach: undefined, publicAddresses: {} },
        masquerade: true,
        randomFully: true,
        forwardRules: true,
        firewall: undefined,
        subnetFile: "/run/flannel/subnet.env",
        stateDir: "/run/tsnet/overlay",
        dataDir: "/var/lib/tsnet/overlay",
        conflist: { path: "/etc/cni/net.d/10-tsnet.conflist", name: "tsnet", bridge: "cni0" },
        healthzAddress: "",
        metricsAddress: "",
        comparePeriod: 30_000,
        probePeriod: 60_000,
        replaceLease: false,
        blackholeRoute: false,
        logFormat: "text",
        verbosity: 0,
      },
      cleanup: false,
      warnings: [],
    });
  });

  test("any flag of etcd means etcd, with flannel's defaults", () => {
    expect(read({ "etcd-username": ["root"], "etcd-password": ["secret"] }).settings.source).toEqual({
      kind: "etcd",
      endpoints: ["http://127.0.0.1:2379"],
      prefix: "/coreos.com/network",
      ...{ caFile: "", certFile: "", keyFile: "", username: "root", password: "secret" },
      ttl: 86_400_000,
      renewMargin: 3_600_000,
    });
  });

  test("etcd with certificates, several endpoints and a lease of our own length", () => {
    const { source } = read({
      "etcd-endpoints": ["https://10.0.0.1:2379/,10.0.0.2:2379", "[fd00::1]:2379"],
      "etcd-cafile": ["/ca"],
      "etcd-certfile": ["/cert"],
      "etcd-keyfile": ["/key"],
      "etcd-prefix": ["//net//one/"],
      "subnet-lease-ttl": ["15s"],
    }).settings;
    expect(source).toMatchObject({
      endpoints: ["https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://[fd00::1]:2379"],
      prefix: "/net/one",
      ...{ caFile: "/ca", certFile: "/cert", keyFile: "/key" },
      ttl: 15_000,
      renewMargin: 10_000,
    });
  });

  test("Kubernetes, as flannel's DaemonSet asks for it", () => {
    const environment = { NODE_NAME: "Node-7", POD_NAME: "kube-flannel-x", EVENT_QUEUE_DEPTH: "5000" };
    const { settings, warnings } = read({ "ip-masq": ["true"], "kube-subnet-mgr": ["true"] }, environment);
    expect(settings.source).toEqual({
      kind: "kube",
      kubeconfig: "",
      master: "",
      annotationPrefix: "flannel.alpha.coreos.com/",
      netConfPath: "/etc/kube-flannel/net-conf.json",
      setNetworkUnavailable: true,
    });
    expect(settings.nodeName).toBe("node-7");
    expect(warnings).toEqual([]);
  });

  test.each([
    ["example.com", "example.com/"],
    ["example.com/", "example.com/"],
    ["example.com/net", "example.com/net-"],
    ["example.com/net-", "example.com/net-"],
  ])("annotations that begin with %s: %s", (given, prefix) => {
    const { source } = read({ "kube-subnet-mgr": ["true"], "kube-annotation-prefix": [given] }).settings;
    expect(source).toMatchObject({ annotationPrefix: prefix });
  });

  test("the interface: names and expressions in their order, commas and all", () => {
    const { underlay } = read({
      iface: ["eth1", "192.0.2.1"],
      "iface-regex": ["^en[ps]{1,2}", "10\\.0\\."],
      "iface-can-reach": ["192.0.2.9"],
      "public-ip": ["198.51.100.1"],
      "public-ipv6": ["2001:db8::1"],
    }).settings;
    expect(underlay).toEqual({
      interfaces: ["eth1", "192.0.2.1"],
      expressions: ["^en[ps]{1,2}", "10\\.0\\."],
      canReach: parseAddress("192.0.2.9"),
      publicAddresses: { 4: parseAddress("198.51.100.1"), 6: parseAddress("2001:db8::1") },
    });
  });

  test("servers, periods and files", () => {
    const { settings } = read({
      "healthz-port": ["10250"],
      "healthz-ip": ["::1"],
      "metrics-bind-address": ["127.0.0.1:10251"],
      "iptables-resync": ["5"],
      "probe-period": ["0"],
      "cni-conflist": [""],
      "subnet-file": ["/run/x/subnet.env"],
      "logging-format": ["json"],
      v: ["4"],
      "ip-masq": ["false"],
      "iptables-forward-rules": ["false"],
      "ip-masq-fully-random-disable": ["true"],
      firewall: ["nftables"],
    });
    expect(settings).toMatchObject({
      healthzAddress: "[::1]:10250",
      metricsAddress: "127.0.0.1:10251",
      comparePeriod: 5000,
      probePeriod: 0,
      conflist: { path: "" },
      subnetFile: "/run/x/subnet.env",
      logFormat: "json",
      verbosity: 4,
      masquerade: false,
      forwardRules: false,
      randomFully: false,
      firewall: "nftables",
    });
  });

  test("clean-up is a thing to do, not a setting", () => {
    expect(read({ cleanup: ["true"] }).cleanup).toBe(true);
  });
});

describe("flannel's environment", () => {
  test("sets what the command line does not", () => {
    const environment = {
      FLANNELD_ETCD_ENDPOINTS: "http://10.0.0.1:2379,http://10.0.0.2:2379",
      FLANNELD_IFACE: "eth1",
      FLANNELD_IP_MASQ: "false",
      FLANNELD_ETCD_PREFIX: "",
      FLANNELD_V: "2",
      HOSTS: "/nowhere",
    };
    const { settings, warnings } = read({ iface: ["eth2"] }, environment);
    expect(settings.source).toMatchObject({
      endpoints: ["http://10.0.0.1:2379", "http://10.0.0.2:2379"],
      prefix: "/coreos.com/network",
    });
    expect(settings).toMatchObject({ underlay: { interfaces: ["eth2"] }, masquerade: false, verbosity: 2 });
    expect(warnings).toEqual([]);
  });

  test("a variable that is no flag's is named; flags of ours have none", () => {
    expect(read({}, { FLANNELD_IFACES: "eth0", FLANNELD_HOSTS: "/x" }).warnings).toEqual([
      "FLANNELD_IFACES: no flag of flannel's is called so, the nearest is FLANNELD_IFACE",
      "FLANNELD_HOSTS: no flag of flannel's is called so",
    ]);
  });

  test("a value that makes no sense is refused as that of the flag", () => {
    expect(refusal({}, { FLANNELD_HEALTHZ_PORT: "high" })).toEqual(["--healthz-port=high: wanted is a whole number"]);
  });
});

test("what is accepted and changes nothing is named", () => {
  const flags = { vmodule: ["x=1"], "kube-subnet-mgr": ["true"], "etcd-prefix": ["/x"] };
  expect(read(flags).warnings).toEqual([
    "--vmodule: it changes nothing here, it tunes flannel's own logger",
    "--etcd-prefix: nothing is asked of etcd with --kube-subnet-mgr",
  ]);
  expect(read({ "kube-api-url": ["https://x"] }).warnings).toEqual([
    "--kube-api-url: nothing is asked of Kubernetes without --kube-subnet-mgr",
  ]);
});

test("everything that is wrong is told at once", () => {
  expect(
    refusal({ "public-ip": ["fd00::1"], "iface-can-reach": ["gateway"], firewall: ["nftable"], "subnet-file": ["x"] }),
  ).toEqual([
    "--iface-can-reach=gateway: wanted is an IP address",
    "--public-ip=fd00::1: wanted is an IPv4 address",
    "--firewall=nftable: wanted is iptables or nftables: did you mean nftables?",
    "--subnet-file=x: wanted is a path that begins with a slash",
  ]);
});

test.each([
  [{ hosts: ["/x"], "kube-subnet-mgr": ["true"] }, /^--hosts and --kube-subnet-mgr: .* choose one$/],
  [{ hosts: ["/x"], "etcd-prefix": ["/y"] }, /^--hosts and --etcd-prefix: /],
  [{ "etcd-endpoints": ["ftp://x"] }, /^--etcd-endpoints: "ftp:\/\/x" is no URL such as /],
  [{ "etcd-certfile": ["/x"] }, /^--etcd-certfile and --etcd-keyfile go together/],
  [{ "etcd-password": ["x"] }, /^--etcd-password: --etcd-username is missing$/],
  [{ "etcd-prefix": ["/"] }, /^--etcd-prefix: wanted is a key/],
  [{ "etcd-prefix": ["/x"], "subnet-lease-renew-margin": ["1440"] }, /wanted is 1 to 1439/],
  [{ "etcd-prefix": ["/x"], "subnet-lease-renew-margin": ["1"], "subnet-lease-ttl": ["1m"] }, /not less than what/],
  [{ "etcd-prefix": ["/x"], "subnet-lease-ttl": ["1s"] }, /^--subnet-lease-ttl: wanted is 5s at least$/],
  [{ "kube-subnet-mgr": ["true"], "kube-annotation-prefix": ["Nowhere"] }, /^--kube-annotation-prefix=Nowhere: /],
  [{ "node-name": [" "] }, /^this host has no name: give it one with --node-name$/],
  [{ "iface-regex": ["("] }, /^--iface-regex=\(: /],
  [{ "healthz-port": ["70000"] }, /^--healthz-port=70000: wanted is 0 to 65535/],
  [{ "metrics-bind-address": ["here"] }, /^--metrics-bind-address: "here" is no address and port/],
  [{ "iptables-resync": ["0"] }, /^--iptables-resync=0: /],
  [{ "compare-period": ["10ms"] }, /^--compare-period: /],
  [{ "probe-period": ["10ms"] }, /^--probe-period: /],
  [{ "cni-network": ["a b"] }, /^--cni-network=a b: /],
  [{ "cni-bridge": ["a-name-that-is-too-long"] }, /^--cni-bridge=/],
])("%j is refused", (flags, message) => {
  expect(refusal(flags)[0]).toMatch(message);
});

function read(flags: Flags, environment: Environment = {}) {
  const warnings: string[] = [];
  const warn = (text: string) => void warnings.push(text);
  return { ...settingsFrom(flags, warn, { environment, hostname: () => "Host1" }), warnings };
}

function refusal(flags: Flags, environment: Environment = {}): readonly string[] {
  try {
    read(flags, environment);
  } catch (error) {
    expect(isTsnetError(error, "usage")).toBe(true);
    return messageOf(error).split("\n");
  }
  throw new Error("it was accepted");
}
