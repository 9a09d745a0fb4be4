import { describe, expect, test } from "vitest";
import { type ProxyFlags, settingsFrom } from "../../../proxy/config/flags.ts";
import { backendSettings } from "../../../proxy/node/backend.ts";
import {
  awaitsPodCIDR,
  localWarnings,
  podCIDRsOf,
  primaryFamilyOf,
  withBindAddress,
} from "../../../proxy/node/local.ts";
import { nodeName } from "../../../proxy/node/name.ts";
import type { NodeObject } from "../../../proxy/objects/objects.ts";

const NODE: NodeObject = {
  name: "node1",
  addresses: ["192.168.1.5", "fd00::5"],
  podCIDRs: ["10.244.1.0/24"],
  zone: undefined,
  deleting: false,
  leaving: false,
};

describe("a pod of this node is known", () => {
  test("by the cluster's CIDR, of each family", () => {
    const settings = settle({ "cluster-cidr": ["10.244.1.7/16,fd00:1::/48"] });

    expect(podCIDRsOf(settings, NODE)).toEqual(["10.244.0.0/16", "fd00:1::/48"]);
    expect(backendSettings(settings, "iptables", 4).localInterface).toEqual({ kind: "none" });
  });

  test("by the Node's own CIDRs, which have to be there first", () => {
    const settings = settle({ "detect-local-mode": ["NodeCIDR"] });

    expect(podCIDRsOf(settings, NODE)).toEqual(["10.244.1.0/24"]);
    expect([undefined, { ...NODE, podCIDRs: [] }, NODE].map((node) => awaitsPodCIDR(settings, node))).toEqual([
      true,
      true,
      false,
    ]);
    expect(awaitsPodCIDR(settle({}), undefined)).toBe(false);
  });

  test.each<[ProxyFlags, object]>([
    [
      { "detect-local-mode": ["BridgeInterface"], "pod-bridge-interface": ["cni0"] },
      { kind: "bridge", name: "cni0" },
    ],
    [
      { "detect-local-mode": ["InterfaceNamePrefix"], "pod-interface-name-prefix": ["veth"] },
      { kind: "prefix", prefix: "veth" },
    ],
  ])("by interface: %j", (flags, localInterface) => {
    const settings = settle({ ...flags, "cluster-cidr": ["10.244.0.0/16"] });

    expect(podCIDRsOf(settings, NODE)).toEqual([]);
    expect(backendSettings(settings, "nftables", 6).localInterface).toEqual(localInterface);
  });
});

describe("node ports are taken on", () => {
  test.each<[string[] | undefined, "iptables" | "nftables", 4 | 6, "all" | "primary" | string[], boolean]>([
    [undefined, "iptables", 4, "all", true],
    [undefined, "iptables", 6, "all", false],
    [undefined, "nftables", 4, "primary", false],
    [["primary"], "iptables", 4, "primary", false],
    [["10.1.2.3/8,127.0.0.0/8"], "iptables", 4, ["10.0.0.0/8", "127.0.0.0/8"], true],
    [["127.0.0.1/32"], "nftables", 4, ["127.0.0.1/32"], false],
    [["10.0.0.0/8", "10.9.9.9/8"], "iptables", 4, ["10.0.0.0/8"], false],
    [["10.0.0.0/8"], "nftables", 6, "all", false],
    [["0.0.0.0/0"], "iptables", 4, ["0.0.0.0/0"], true],
  ])("%j in %s mode, IPv%d: %j, and on 127.0.0.1: %j", (given, mode, family, addresses, localhost) => {
    const settings = settle(given === undefined ? {} : { "nodeport-addresses": given });

    expect(backendSettings(settings, mode, family)).toMatchObject({
      nodePortAddresses: addresses,
      localhostNodePorts: localhost,
    });
  });

  test("127.0.0.1 no more where that is turned off", () => {
    const settings = settle({ "iptables-localhost-nodeports": ["false"] });

    expect(backendSettings(settings, "iptables", 4).localhostNodePorts).toBe(false);
  });
});

describe("what may be meant otherwise is named", () => {
  test.each<[ProxyFlags, string[]]>([
    [{ "cluster-cidr": ["10.0.0.0/8"] }, []],
    [{ "cluster-cidr": ["10.0.0.0/8"], "nodeport-addresses": ["primary"] }, []],
    [{}, ["detectLocalMode is ClusterCIDR and clusterCIDR has no IPv4: no IPv4 traffic counts as a local pod's"]],
    [
      { "cluster-cidr": ["10.0.0.0/8"], "bind-address": ["fd00::9"] },
      ["detectLocalMode is ClusterCIDR and clusterCIDR has no IPv6: no IPv6 traffic counts as a local pod's"],
    ],
    [{ "detect-local-mode": ["NodeCIDR"] }, []],
    [
      { "detect-local-mode": ["BridgeInterface"], "pod-bridge-interface": ["br0"], "cluster-cidr": ["10.0.0.0/8"] },
      ["clusterCIDR counts for nothing: detectLocalMode is BridgeInterface"],
    ],
    [
      { "cluster-cidr": ["10.0.0.0/8"], "nodeport-addresses": ["10.0.0.0/8"] },
      ["nodePortAddresses has no IPv6: node ports are on all IPv6 addresses of the node"],
    ],
  ])("%j: %j", (flags, warnings) => {
    expect(localWarnings(settle(flags), NODE)).toEqual(warnings);
  });

  test("but nothing is said of a Node that is not there yet", () => {
    expect(localWarnings(settle({ "detect-local-mode": ["NodeCIDR"] }), undefined)).toEqual([]);
  });
});

describe("the node's addresses", () => {
  test("bindAddress takes the place of the one of its family and comes first", () => {
    const settings = settle({ "bind-address": ["fd00::9"] });

    expect(withBindAddress(settings, NODE).addresses).toEqual(["fd00::9", "192.168.1.5"]);
    expect(primaryFamilyOf(settings, NODE)).toBe(6);
  });

  test.each(["0.0.0.0", "::"])("%s is none", (bind) => {
    const settings = settle({ "bind-address": [bind] });

    expect(withBindAddress(settings, NODE)).toEqual(NODE);
    expect(primaryFamilyOf(settings, { ...NODE, addresses: ["fd00::5", "192.168.1.5"] })).toBe(6);
    expect(primaryFamilyOf(settings, undefined)).toBe(4);
  });
});

test("a node's name is the host's or the override, trimmed and in lower case", () => {
  const host = () => "Worker-1.Example\n";

  expect([nodeName("", host), nodeName(" Node ", host)]).toEqual(["worker-1.example", "node"]);
  expect(() => nodeName("", () => "")).toThrow("the host has no name: name the Node with --hostname-override");
});

function settle(flags: ProxyFlags) {
  return settingsFrom(flags, undefined, { readFile: () => undefined, hostname: () => "node1" });
}
