import { describe, expect, test } from "vitest";
import type { BackendSettings } from "../../../proxy/backend.ts";
import { fixedChains, serviceFrame } from "../../../proxy/iptables/base.ts";
import { sameRule } from "../../../proxy/iptables/compare.ts";
import { planPort } from "../../../proxy/iptables/port.ts";
import { replaceSteps } from "../../../proxy/iptables/replace.ts";
import { oneOf, rule } from "../../../proxy/iptables/rule.ts";
import { type Shape, sameShape, shapeOf } from "../../../proxy/iptables/shape.ts";
import { planUpdate } from "../../../proxy/iptables/update.ts";
import { decideVariant, type VariantFacts } from "../../../proxy/iptables/variant.ts";
import type { PortRules, Table } from "../../../proxy/table/types.ts";
import { clusterIP, endpoint, outside, port, table } from "./tables.ts";

const SETTINGS: BackendSettings = {
  family: 4,
  masqueradeAll: false,
  masqueradeBit: 14,
  localInterface: { kind: "none" },
  nodePortAddresses: "all",
  localhostNodePorts: true,
  dropInvalid: false,
};

function shape(settings: Partial<BackendSettings> = {}, more: Partial<Table> = {}, bpf = true): Shape {
  return shapeOf({ ...SETTINGS, ...settings }, table([], more), { bpf, ipset: true });
}

const web = port("a/web:http", [clusterIP("10.96.0.7")], {
  endpoints: [endpoint("10.1.0.1:80*"), endpoint("10.1.0.2:80"), endpoint("10.1.0.3:80")],
});
const nobody: PortRules = { ...web, endpoints: [], local: [], served: false };

describe("rules of a port", () => {
  const chainsOf = (ports: PortRules, of: Shape) => Object.fromEntries(planPort(ports, of).chains);
  const noCidrs = { serviceCIDRs: [] };

  test("chances are printed as the kernel gives them back", () => {
    expect([1, 2, 3, 7].map(oneOf)).toEqual([
      undefined,
      "-m statistic --mode random --probability 0.50000000000",
      "-m statistic --mode random --probability 0.33333333349",
      "-m statistic --mode random --probability 0.14285714272",
    ]);
  });

  test("a cluster IP outside of every ServiceCIDR has a masquerade rule of its own", () => {
    const [first] = Object.values(chainsOf(web, shape({}, noCidrs)))[0] ?? [];
    expect(first).toBe(
      '! -s 10.244.1.0/24 -d 10.96.0.7/32 -p tcp -m comment --comment "a/web:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
    );
  });

  test.each([
    ["a bridge", { localInterface: { kind: "bridge", name: "cni0" } }, "-d 10.96.0.7/32 ! -i cni0 -p tcp"],
    [
      "interfaces by prefix",
      { localInterface: { kind: "prefix", prefix: "veth" } },
      "-d 10.96.0.7/32 ! -i veth+ -p tcp",
    ],
    ["everything", { masqueradeAll: true }, "-d 10.96.0.7/32 -p tcp"],
  ] as const)("pods are told by %s", (_what, settings, start) => {
    const node = { podCIDRs: [], addresses: [] };
    const [first = ""] = Object.values(chainsOf(web, shape(settings, { ...noCidrs, node })))[0] ?? [];
    expect(first.startsWith(start)).toBe(true);
  });

  test("pods of several networks are told by a chain of their own", () => {
    const node = { podCIDRs: ["10.1.0.0/24", "10.2.0.0/24"], addresses: [] };
    const several = shape({}, { node });
    expect(fixedChains(several).nat.get("KUBE-SVC-not-local")).toEqual([
      "-s 10.1.0.0/24 -j RETURN",
      "-s 10.2.0.0/24 -j RETURN",
      "-j KUBE-MARK-MASQ",
    ]);
    expect(serviceFrame(several).before).toEqual([
      '-d 10.96.0.0/12 -m comment --comment "cluster IPs" -j KUBE-SVC-not-local',
    ]);
  });

  test("where pods cannot be told nothing is masqueraded for being none", () => {
    const none = shape({}, { node: { podCIDRs: [], addresses: [] } });
    expect(serviceFrame(none).before).toEqual([]);
    expect(Object.values(chainsOf(web, none))[0]).toHaveLength(3);
  });

  test("an outside address among the cluster IPs keeps its clients' addresses with policy Local", () => {
    const odd = {
      ...web,
      frontends: [...web.frontends, outside("externalIP", { address: "10.96.0.99", policy: "Local" })],
    };
    const ext = Object.entries(chainsOf(odd, shape())).find(([name]) => name.startsWith("KUBE-EXT-"))?.[1];
    expect(ext?.[0]).toBe("-j MARK --set-xmark 0x0/0x4000");
  });

  test("without xt_bpf an endpoint's chain tells whether a packet comes from it", () => {
    const chains = chainsOf(web, shape({}, {}, false));
    expect(Object.keys(chains).filter((name) => name.startsWith("KUBE-SEP-"))).toHaveLength(3);
    expect(Object.values(chains)[0]).toEqual([
      '-s 10.1.0.1/32 -m comment --comment "a/web:http" -j KUBE-MARK-MASQ',
      '-p tcp -m comment --comment "a/web:http" -j DNAT --to-destination 10.1.0.1:80',
    ]);
    expect(fixedChains(shape({}, {}, false)).nat.get("KUBE-POSTROUTING")).toHaveLength(3);
  });
});

describe("node ports", () => {
  const leads = (settings: Partial<BackendSettings>, node: Table["node"] = table([]).node) =>
    serviceFrame(shape(settings, { node }))
      .behind.slice(1)
      .map((text) => text.replace(/ ?-m comment --comment "[^"]*"/, ""));

  test.each<[string, Partial<BackendSettings>, readonly string[]]>([
    ["all", {}, ["-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"]],
    [
      "all but loopback",
      { localhostNodePorts: false },
      ["! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"],
    ],
    ["the node's own", { nodePortAddresses: "primary" }, ["-d 192.168.50.1/32 -j KUBE-NODEPORTS"]],
    [
      "networks",
      { nodePortAddresses: ["192.168.0.0/16", "fd00::/8"] },
      ["-d 192.168.0.0/16 -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"],
    ],
    [
      "networks of the other family alone: all",
      { nodePortAddresses: ["fd00::/8"] },
      ["-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"],
    ],
    [
      "networks with loopback, which is not to be",
      { nodePortAddresses: ["127.0.0.0/8"], localhostNodePorts: false },
      ["-d 127.0.0.0/8 -j RETURN", "-d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"],
    ],
  ])("are on %s", (_what, settings, expected) => {
    expect(leads(settings).map((text) => text.trim())).toEqual(expected);
  });
});

describe("the order of a change", () => {
  /** The tables in the order in which iptables-restore commits them. */
  function order(before: PortRules | undefined, after: PortRules | undefined): readonly string[] {
    const known = table(before === undefined ? [] : [before]);
    const steps = replaceSteps(known, shape(), { variant: "nft", present: new Set() });
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    const change = { before: before && [before], after: after && [after] };
    const { text } = planUpdate(step.value.layout, [change]);
    return text.match(/(?<=^\*)\w+/gm) ?? [];
  }

  test("a service that gains its first endpoint is written nat before filter", () => {
    expect(order(nobody, web)).toEqual(["nat", "filter"]);
  });

  test("a service that loses its last is written filter before nat", () => {
    expect(order(web, nobody)).toEqual(["filter", "nat"]);
  });

  test("who gets source ranges drops others before it lets these in, and ends that afterwards", () => {
    const open: PortRules = {
      ...web,
      frontends: [...web.frontends, outside("loadBalancer", { address: "198.51.100.1" })],
    };
    const ranges = { address: "198.51.100.1", sourceRanges: ["10.0.0.0/8"] };
    const guarded: PortRules = { ...web, frontends: [...web.frontends, outside("loadBalancer", ranges)] };
    expect(order(open, guarded)).toEqual(["filter", "nat"]);
    expect(order(guarded, open)).toEqual(["nat", "filter"]);
  });

  test("endpoints alone are nat's alone", () => {
    expect(order(web, { ...web, endpoints: web.endpoints.slice(1) })).toEqual(["nat"]);
    expect(order(nobody, nobody)).toEqual([]);
  });

  test("a new service without endpoints is filter's alone", () => {
    expect(order(undefined, nobody)).toEqual(["filter"]);
    expect(order(nobody, undefined)).toEqual(["filter"]);
  });
});

test("thousands of services go to iptables-nft in steps, each chain after those that it jumps to", () => {
  const ports = Array.from({ length: 1500 }, (_, n) =>
    port(`a/s${n}`, [clusterIP(`10.96.${n >> 8}.${n & 255}`), outside("nodePort", { port: 30000 + n })], {
      endpoints: web.endpoints,
    }),
  );
  const texts = [...replaceSteps(table(ports), shape(), { variant: "nft", present: new Set() })].map(
    ({ text }) => text,
  );
  expect(texts.length).toBeGreaterThan(5);
  const known = new Set<string>();
  const missing: string[] = [];
  for (const part of texts.join("").split("COMMIT\n")) {
    for (const [, chain = ""] of part.matchAll(/^:(\S+)/gm)) known.add(chain);
    for (const [, target = ""] of part.matchAll(/-j (KUBE-\S+)$/gm)) if (!known.has(target)) missing.push(target);
  }
  expect(missing).toEqual([]);
  const legacy = [...replaceSteps(table(ports), shape(), { variant: "legacy", present: new Set() })];
  expect(legacy).toHaveLength(1);
});

test("a table's facts make another shape, its services do not", () => {
  expect(sameShape(shape(), shapeOf(SETTINGS, table([web]), { bpf: true, ipset: true }))).toBe(true);
  expect(sameShape(shape(), shape({}, { serviceCIDRs: [] }))).toBe(false);
  expect(sameShape(shape(), shape({}, { node: { podCIDRs: ["10.3.0.0/24"], addresses: [] } }))).toBe(false);
});

test.each([
  [
    '-p tcp -m comment --comment "a b" -m tcp --dport 80 -j X',
    '-p tcp -m tcp --dport 80 -m comment --comment "a b" -j X',
    true,
  ],
  ["-m comment --comment ab -j X", '-m comment --comment "ab" -j X', true],
  [
    "-m statistic --mode random --probability 0.5 -j X",
    "-m statistic --mode random --probability 0.50000000000 -j X",
    true,
  ],
  ["-d ::a00:1/128 -j X", "-d ::10.0.0.1/128 -j X", true],
  ["! -s 10.0.0.0/8 -j X", "-s 10.0.0.0/8 -j X", false],
  ["-s 10.0.0.1/32 -d 10.0.0.2/32 -j X", "-s 10.0.0.2/32 -d 10.0.0.1/32 -j X", false],
  ["-p tcp -m tcp --dport 80:90 -j X", "-p tcp -m tcp --dport 80 -j X", false],
  ["-j DNAT --to-destination 10.0.0.1:80", "-j DNAT --to-destination 10.0.0.2:80", false],
])("%s and %s: the same is %s", (a, b, same) => {
  expect(sameRule(a, b)).toBe(same);
});

test("a comment is quoted as iptables-save quotes", () => {
  expect(rule({ comment: "plain-word", target: "-j X" })).toBe("-m comment --comment plain-word -j X");
  expect(rule({ comment: 'a "b"', target: "-j X" })).toBe('-m comment --comment "a \\"b\\"" -j X');
});

describe("the variant (row 8)", () => {
  const facts = (more: Partial<VariantFacts>): VariantFacts => ({
    preferred: "nft",
    installed: ["nft", "legacy"],
    kubelet: [],
    services: [],
    ...more,
  });

  test("is kubelet's, else the one that holds service rules, else what iptables is", () => {
    expect(decideVariant(facts({ kubelet: ["legacy"] }))).toBe("legacy");
    expect(decideVariant(facts({ services: ["legacy"] }))).toBe("legacy");
    expect(decideVariant(facts({}))).toBe("nft");
  });

  test.each<[string, Partial<VariantFacts>]>([
    ["kubelet's chains are in both", { kubelet: ["nft", "legacy"] }],
    ["service rules are in both", { services: ["nft", "legacy"] }],
    ["uses iptables-legacy, which is not installed", { kubelet: ["legacy"], installed: ["nft"] }],
    ["service rules are in iptables-legacy, while kubelet", { kubelet: ["nft"], services: ["legacy"] }],
    ["there is no iptables", { preferred: undefined, installed: [] }],
  ])("is refused where %s", (message, more) => {
    expect(() => decideVariant(facts(more))).toThrow(message);
  });
});
