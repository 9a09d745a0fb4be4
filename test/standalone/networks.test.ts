/** Networks: what a command line and a file say of them, how they are named, and what runtimes see. */
import { describe, expect, test } from "vitest";
import { parseCidr } from "../../lib/net/cidr.ts";
import { parseNetworkList } from "../../lib/runtime/list.ts";
import { parseProject } from "../../standalone/file/file.ts";
import { findNetwork, shortName } from "../../standalone/networks/find.ts";
import { nameAfter } from "../../standalone/networks/sorting.ts";
import { type CreateFlags, specOf } from "../../standalone/networks/spec.ts";
import { listText } from "../../standalone/plan/list.ts";
import { newNetwork } from "../../standalone/plan/network.ts";
import type { NetworkRecord } from "../../standalone/state/records.ts";

const NOW = {
  networks: [],
  facts: { taken: [], links: new Map(), routedLinks: [], listeners: [], ownerOf: () => undefined, mtu: undefined },
};

/** The record of a network that a command makes. */
const record = (name: string, flags: CreateFlags = {}, project = "local") =>
  newNetwork({ name: project }, specOf(name, flags), { now: NOW, planned: [] });

const ipamOf = (network: NetworkRecord, anyAddress = false) =>
  parseNetworkList(listText(network, true, anyAddress)).plugins[0]?.raw.ipam;

describe("a network's addresses", () => {
  test("are taken from its range, without the subnet's own and the broadcast address", () => {
    const bounds = (range: string) => ipamOf(record("x", { subnet: ["10.1.0.0/24", "fd00:1::/64"], ipRange: range }));
    const ranges = (start: string, end: string) => ({
      ranges: [
        [{ subnet: "10.1.0.0/24", gateway: "10.1.0.1", rangeStart: start, rangeEnd: end }],
        [{ subnet: "fd00:1::/64", gateway: "fd00:1::1" }],
      ],
    });
    expect(bounds("10.1.0.64/26")).toMatchObject(ranges("10.1.0.64", "10.1.0.127"));
    expect(bounds("10.1.0.0/25")).toMatchObject(ranges("10.1.0.1", "10.1.0.127"));
    expect(bounds("10.1.0.128/25")).toMatchObject(ranges("10.1.0.128", "10.1.0.254"));
    expect(bounds("10.1.0.0/24")).toMatchObject(ranges("10.1.0.1", "10.1.0.254"));
    expect(bounds("fd00:1::1:0/112")).toMatchObject({
      ranges: [
        [{ subnet: "10.1.0.0/24", gateway: "10.1.0.1" }],
        [{ subnet: "fd00:1::/64", gateway: "fd00:1::1", rangeStart: "fd00:1::1:0", rangeEnd: "fd00:1::1:ffff" }],
      ],
    });
  });

  test("may be any of the subnet where one was asked for", () => {
    const network = record("x", { subnet: ["10.1.0.0/24"], ipRange: "10.1.0.128/25" });
    expect(ipamOf(network, true)).toMatchObject({ ranges: [[{ subnet: "10.1.0.0/24", gateway: "10.1.0.1" }]] });
    expect(JSON.stringify(ipamOf(network, true))).not.toContain("rangeStart");
  });

  test("come with its routes, by a gateway of their own or the network's", () => {
    const flags = {
      subnet: ["10.1.0.0/24"],
      route: ["10.20.0.0/16 via 10.1.0.5", "10.30.0.0/16", "10.40.0.0/16,10.1.0.6"],
    };
    expect(ipamOf(record("x", flags))).toMatchObject({
      routes: [
        { dst: "10.20.0.0/16", gw: "10.1.0.5" },
        { dst: "10.30.0.0/16" },
        { dst: "10.40.0.0/16", gw: "10.1.0.6" },
      ],
    });
  });
});

describe("a command line", () => {
  test("says the same of a network as a file", () => {
    const flags: CreateFlags = {
      subnet: ["10.1.0.0/24", "fd00:1::/64"],
      gateway: ["10.1.0.254"],
      ipRange: "10.1.0.128/25",
      mtu: "1400",
      masquerade: false,
      internal: true,
      openTo: ["back"],
      label: ["tier=web"],
      route: ["10.20.0.0/16,10.1.0.5"],
      opt: ["com.docker.network.bridge.name=br7", "vlan=7", "com.docker.network.bridge.enable_icc=false"],
    };
    const file = `
networks:
  back: {}
  front: { driver: bridge, subnet: 10.1.0.0/24, ipv6: "fd00:1::/64", gateway: 10.1.0.254, ip_range: 10.1.0.128/25, mtu: 1400, masquerade: false, internal: true, open_to: [back], labels: [tier=web], routes: ["10.20.0.0/16 via 10.1.0.5"], bridge: br7, options: { vlan: 7, portIsolation: true } }
containers: { c: { networks: [front], command: [x] } }
`;
    expect(specOf("front", flags)).toEqual(parseProject(file, "/srv/x/tsnet.yaml").networks.get("front"));
    expect(specOf("x", { isolation: false })).toMatchObject({ open: ["*"] });
    expect(specOf("x", { ipv6: true })).toMatchObject({ ipv6: "auto" });
  });

  test.each([
    ["host", {}, 'NETWORK: "host" is no network: give the container network: host'],
    [
      "a.b",
      {},
      '"a.b" cannot be a network\'s name, allowed is a name of letters, digits, "-" and "_", at most 41 of them',
    ],
    [
      "x",
      { driver: "macvlan" },
      '--driver: found "macvlan", allowed is bridge; a network over many hosts is made by tsnet overlay',
    ],
    ["x", { driver: "null" }, '--driver: found "null", which needs no network: give the container network: none'],
    ["x", { subnet: ["10.1.0.5/24"] }, "--subnet: found 10.1.0.5/24, which has host bits set: write 10.1.0.0/24"],
    [
      "x",
      { subnet: ["10.1.0.0"] },
      '--subnet 10.1.0.0: invalid CIDR address: "10.1.0.0"; write its length, too, such as /24',
    ],
    ["x", { subnet: ["10.1.0.0/31"] }, "--subnet: found 10.1.0.0/31, which has no room for a container: at most /30"],
    [
      "x",
      { subnet: ["10.1.0.0/24", "10.2.0.0/24"] },
      "--subnet: 10.1.0.0/24 and 10.2.0.0/24: one IPv4 and one IPv6 subnet at most",
    ],
    [
      "x",
      { ipRange: "10.1.0.0/25" },
      "--ip-range: found 10.1.0.0/25: give the network the subnet that this is a part of",
    ],
    [
      "x",
      { subnet: ["10.1.0.0/24"], ipRange: "10.2.0.0/25" },
      "--ip-range: found 10.2.0.0/25, which is not a part of 10.1.0.0/24",
    ],
    ["x", { gateway: ["10.1.0.1"] }, "--gateway 10.1.0.1: give the network the --subnet that it is on"],
    [
      "x",
      { subnet: ["10.1.0.0/24"], gateway: ["10.1.0.0"] },
      "--gateway 10.1.0.0 is no address of 10.1.0.0/24: such as 10.1.0.1",
    ],
    [
      "x",
      { route: ["10.2.0.0/16 via 10.1.0.5"] },
      "--route: found 10.1.0.5, which is on no subnet that the network is given: give it a subnet that it is on",
    ],
    [
      "x",
      { subnet: ["10.1.0.0/24"], route: ["10.2.0.0/16,fd00::1"] },
      "--route: found 10.2.0.0/16 via fd00::1, of another family",
    ],
    [
      "x",
      { route: ["a b c"] },
      '--route a b c: write SUBNET or "SUBNET via ADDRESS", such as "10.20.0.0/16 via 10.88.1.5"',
    ],
    ["x", { mtu: "9" }, "--mtu 9: write a number of bytes from 68 to 65535"],
    [
      "x",
      { bridge: "a-name-too-long-for-it" },
      '--bridge a-name-too-long-for-it: write an interface name of letters, digits, ".", "_" and "-", at most 15 of them',
    ],
    // To iptables it would be every interface whose name begins so.
    ...["eth+", "+", "a*b", 'a"b', "-a", ".."].map((bridge): [string, object, string] => [
      "x",
      { bridge },
      `--bridge ${bridge}: write an interface name of letters, digits, ".", "_" and "-", at most 15 of them`,
    ]),
    [
      "x",
      { opt: ["parent=eth0"] },
      /^--opt parent=eth0: unknown option; there are com\.docker\.network\.bridge\.name, /,
    ],
    ["x", { opt: ["mtu=x"] }, "--opt mtu=x: write a number from 68 to 65535"],
    [
      "x",
      { isolation: false, internal: true },
      "--no-isolation: an internal network lets nobody in: leave out one of the two",
    ],
  ] satisfies readonly (readonly [string, CreateFlags, string | RegExp])[])(
    "%s %j is refused",
    (name, flags, message) => {
      expect(() => specOf(name, flags)).toThrow(message);
    },
  );
});

describe("a mistake about a network in a file", () => {
  test.each([
    ["host: {}", '1:13: networks.host: "host" is no network: give the container network: host'],
    [
      "n: { driver: host }",
      '1:26: networks.n.driver: found "host", which needs no network: give the container network: host',
    ],
    [
      "n: { subnet: 10.1.0.0/24, ip_range: 10.1.0.9/25 }",
      "1:49: networks.n.ip_range: found 10.1.0.9/25, which has host bits set: write 10.1.0.0/25",
    ],
    [
      "n: { routes: [x] }",
      '1:27: networks.n.routes[0]: found "x", allowed is SUBNET or "SUBNET via ADDRESS", such as "10.20.0.0/16 via 10.88.1.5"',
    ],
    [
      "n: { subnet: 10.1.0.0/24, routes: [10.2.0.0/16 via 10.3.0.1] }",
      "1:48: networks.n.routes[0]: found 10.3.0.1, which is on no subnet that the network is given: it has 10.1.0.0/24",
    ],
    [
      "n: { external: maybe }",
      '1:28: networks.n.external: found "maybe", allowed is true for one that tsnet network create made, or that of another project as PROJECT.NETWORK',
    ],
    ["n: { external: true, mtu: 1400 }", "1:39: networks.n.mtu: an external network is used as it is: leave this out"],
  ])("%s", (text, message) => {
    const file = `networks: { ${text} }\ncontainers: { c: { command: [x] } }\n`;
    expect(() => parseProject(file, "/srv/x/tsnet.yaml")).toThrow(`/srv/x/tsnet.yaml:${message}`);
  });

  test("is a file that is called as what commands make is", () => {
    const file = "containers: { c: { command: [x] } }\n";
    const message = '"local" is what commands make, such as tsnet run: give the file another name';
    expect(() => parseProject(`name: local\n${file}`, "/srv/x/tsnet.yaml")).toThrow(`:1:7: name: ${message}`);
    expect(() => parseProject(file, "/srv/local/tsnet.yaml")).toThrow(`:1:1: the file: ${message}`);
  });
});

test("external: true is the network of that name that a command made, and false is none", () => {
  const file = "networks: { n: { external: true }, m: { external: false } }\ncontainers: { c: { command: [x] } }\n";
  const { networks } = parseProject(file, "/srv/x/tsnet.yaml");
  expect(networks.get("n")?.external).toBe("local.n");
  expect(networks.get("m")?.external).toBeUndefined();
});

describe("a network is found", () => {
  const all = [
    record("front"),
    record("front", {}, "app"),
    record("back", {}, "app"),
    record("dup", {}, "a"),
    record("dup", {}, "b"),
  ];
  test("by the name of a command's, by that of the only project that has it, and by both", () => {
    expect(findNetwork(all, "front").id).toBe("local.front");
    expect(findNetwork(all, "app.front").id).toBe("app.front");
    expect(findNetwork(all, "back").id).toBe("app.back");
    expect(all.map(shortName)).toEqual(["front", "app.front", "app.back", "a.dup", "b.dup"]);
  });

  test("or not, with those that there are", () => {
    expect(() => findNetwork(all, "dup")).toThrow("network dup could be a.dup or b.dup: write it with its project");
    expect(() => findNetwork(all, "x")).toThrow("no network x: there are front, app.front, app.back, a.dup, b.dup");
    expect(() => findNetwork([], "x")).toThrow("no network x: there are none");
  });
});

test("containers row 30: the list of a network sorts after all that are there", () => {
  expect(nameAfter("tsnet-b", [])).toBe("99-tsnet-b.conflist");
  expect(nameAfter("tsnet-b", ["10-a.conf", "99-tsnet-c.conflist"])).toBe("99-tsnet-c.tsnet-b.conflist");
  const text = listText(record("b", { subnet: ["10.1.0.0/24"] }), true);
  expect(JSON.parse(text)).toMatchObject({
    cniVersion: "1.0.0",
    cniVersions: ["1.0.0", "1.1.0"],
    name: "local.b",
    disableGC: true,
  });
});

test("a subnet that another network by command has is taken", () => {
  const first = record("a", { subnet: ["10.1.0.0/16"] });
  expect(parseCidr(first.subnets[0] ?? "").prefix).toBe(16);
  expect(() =>
    newNetwork({ name: "local" }, specOf("b", { subnet: ["10.1.2.0/24"] }), {
      now: { ...NOW, networks: [first] },
      planned: [first],
    }),
  ).toThrow(
    "network b: the host has subnet 10.1.2.0/24 already: network local.a (10.1.0.0/16); choose another, or none to have one chosen",
  );
});
