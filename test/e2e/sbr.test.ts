import { afterEach, describe, expect, it } from "vitest";
import { add, attach, type Conf, containerOf, detach, type Result, refusal, well } from "./attachments.ts";
import type { Host } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

/** A network of the container beside its first: a bridge of its own, or a link. */
function netConf(n: number, more: Readonly<Record<string, unknown>> = {}): Conf {
  const ranges = [[{ subnet: `10.${n}.0.0/24` }], [{ subnet: `fd${n}::/64` }]];
  const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];
  return {
    cniVersion: "1.1.0",
    name: `net${n}`,
    type: "bridge",
    bridge: `br${n}`,
    isGateway: true,
    ipam: { type: "host-local", ranges, ...(n === 11 ? { routes } : {}) },
    ...more,
  };
}

function sbrConf(prevResult: object | undefined, more: Readonly<Record<string, unknown>> = {}): Conf {
  return { cniVersion: "1.1.0", name: "net12", type: "sbr", prevResult, ...more };
}

const NET1 = { ifname: "net1" };

/** Container `a` with eth0, its default way out, and net1, whose result is given back. */
async function twoInterfaces(second: Conf = netConf(12)): Promise<Result> {
  await attach(host, netConf(11), "a");
  return add(host, second, "a", NET1);
}

const rules = (): Promise<string> =>
  host.sh("{ ip -n a rule; ip -n a -6 rule; } | grep -vE 'lookup (local|main|default)' || true");
const table = (name: string): Promise<string> =>
  host.sh(
    `{ ip -n a route show table ${name}; ip -n a -6 route show table ${name}; } 2>/dev/null | grep -v fe80 || true`,
  );

describe("a container with two interfaces", () => {
  it("answers by the interface that it was asked on, and begins by that which it binds to", async () => {
    host = await world();
    // Two ways from the machine beyond: each sees what comes back by its own.
    await host.sh(`
      ip netns add far; ip link add f0 type veth peer name g0 netns far; ip link set f0 up
      ip addr add 192.168.60.1/24 dev f0; ip -n far addr add 192.168.60.2/24 dev g0; ip -n far link set g0 up
      ip addr add fd60::1/64 dev f0 nodad; ip -n far addr add fd60::2/64 dev g0 nodad; ip -n far link set lo up
      ip -n far route add default via 192.168.60.1; ip -n far -6 route add default via fd60::1
    `);
    const result = await twoInterfaces();
    await serve(host, "a", 80, "a");
    // With the first network cut, what answers by it is lost.
    await host.sh("ip link set br11 down");
    expect(await ask(host, "far", "tcp", "10.12.0.2", 80)).toBe(undefined);
    expect(await add(host, sbrConf(result), "a", NET1)).toEqual(result);
    expect(await ask(host, "far", "tcp", "10.12.0.2", 80)).toBe("a 192.168.60.2");
    expect(await ask(host, "far", "tcp", "fd12::2", 80)).toBe("a fd60::2");
    await host.sh("ip link set br11 up; ip link set br12 down");
    expect(await ask(host, "far", "tcp", "10.11.0.2", 80)).toBe("a 192.168.60.2");
    expect(await host.sh("ip -n a route get 192.168.60.2 from 10.12.0.2")).toContain(
      "via 10.12.0.1 dev net1 table 100",
    );
    expect(await host.sh("ip -n a route get 192.168.60.2")).toContain("via 10.11.0.1 dev eth0");
    await detach(host, sbrConf(result), "a", NET1);
    await detach(host, sbrConf(undefined), "a", NET1);
    expect(await rules()).toBe("");
  });

  it("has a table for each address, and the interface's routes in them instead of the main one", async () => {
    host = await world();
    await add(host, sbrConf(await twoInterfaces()), "a", NET1);
    expect(await rules()).toMatch(
      /^\d+:\tfrom 10\.12\.0\.2 lookup 100 proto 116\n\d+:\tfrom fd12::2 lookup 101 proto 116\n$/,
    );
    expect(await table("100")).toBe(
      "default via 10.12.0.1 dev net1 \n10.12.0.0/24 dev net1 proto kernel scope link src 10.12.0.2 \n",
    );
    expect(await table("101")).toBe(
      "fd12::/64 dev net1 proto kernel metric 256 pref medium\ndefault via fd12::1 dev net1 metric 1024 pref medium\n",
    );
    expect(await table("main")).not.toContain("net1");
    expect(await host.sh("ip -n a -6 route show dev net1 table main")).toContain("fe80::/64");
  });

  it("uses tables that no rule and no route has", async () => {
    host = await world();
    const result = await twoInterfaces();
    await host.sh("ip -n a rule add from 10.99.0.1 table 100; ip -n a route add 10.98.0.0/16 dev eth0 table 101");
    await add(host, sbrConf(result), "a", NET1);
    expect(await rules()).toContain("from 10.12.0.2 lookup 102");
    expect(await rules()).toContain("from fd12::2 lookup 103");
  });

  it("finds free tables also where two interfaces are added at a time", async () => {
    host = await world();
    const [one, two] = [await twoInterfaces(), await add(host, netConf(13), "a", { ifname: "net2" })];
    await Promise.all([
      add(host, sbrConf(one), "a", NET1),
      add(host, sbrConf(two, { name: "net13" }), "a", { ifname: "net2" }),
    ]);
    const numbers = [...(await rules()).matchAll(/lookup (\d+)/g)].map((match) => match[1]);
    expect(numbers.sort()).toEqual(["100", "101", "102", "103"]);
  });

  it("takes over the routes of a point-to-point link", async () => {
    host = await world();
    const addresses = [
      { address: "10.12.0.5/24", gateway: "10.12.0.1" },
      { address: "fd12::5/64", gateway: "fd12::1" },
    ];
    const result = await twoInterfaces(netConf(12, { type: "ptp", ipam: { type: "static", addresses } }));
    await add(host, sbrConf(result), "a", NET1);
    await serve(host, "a", 80, "a");
    expect(await table("100")).toContain("10.12.0.0/24 via 10.12.0.1 dev net1");
    expect(await table("main")).not.toContain("net1");
    expect(await ask(host, "", "tcp", "10.12.0.5", 80)).toBe("a 10.12.0.1");
    expect(await ask(host, "", "tcp", "fd12::5", 80)).toBe("a fd12::1");
  });
});

describe("the keys", () => {
  it("table: rules lead there, and no route is touched", async () => {
    host = await world();
    const result = await twoInterfaces();
    const before = await table("main");
    const conf = sbrConf(result, { table: 5000 });
    await add(host, conf, "a", NET1);
    expect(await checkNet1(conf)).toBe("");
    expect(await rules()).toMatch(/from 10\.12\.0\.2 lookup 5000[\s\S]*from fd12::2 lookup 5000/);
    expect(await table("main")).toBe(before);
    await host.sh("ip -n a rule add from 10.12.0.2 table 77 protocol 4");
    await detach(host, conf, "a", NET1);
    expect(await rules()).toMatch(/^\d+:\tfrom 10\.12\.0\.2 lookup 77 proto static\n$/);
  });

  it("gateways: the tables' default routes go there instead", async () => {
    host = await world();
    const result = await twoInterfaces();
    await host.sh("ip -n a route add default via 10.12.0.1 dev net1 metric 5");
    const conf = sbrConf(result, { gateways: ["10.12.0.254", "fd12::fe"] });
    await add(host, conf, "a", NET1);
    expect(await checkNet1(conf)).toBe("");
    expect(await table("100")).toContain("default via 10.12.0.254 dev net1");
    expect(await table("100")).not.toContain("via 10.12.0.1 ");
    expect(await table("101")).toContain("default via fd12::fe dev net1");
  });

  it("addSourceHints: the main table keeps the way to the subnets, from the interface's addresses", async () => {
    host = await world();
    const result = await twoInterfaces();
    const conf = sbrConf(result, { addSourceHints: true });
    await add(host, conf, "a", NET1);
    expect(await host.sh("ip -n a route get 10.12.0.9; ip -n a route get fd12::9")).toMatch(
      /10\.12\.0\.9 dev net1 src 10\.12\.0\.2[\s\S]*fd12::9 from :: dev net1 .*src fd12::2/,
    );
    expect(await checkNet1(conf)).toBe("");
  });

  it("are refused by their names where they cannot be, before anything is touched", async () => {
    host = await world();
    const result = await twoInterfaces();
    const before = [await rules(), await table("all")];
    const refused = (more: object) => refusal(host, sbrConf(result, { ...more }), "a", NET1);
    expect(await refused({ table: 0 })).toContain("table is 0, allowed are 1 to 4294967295");
    expect(await refused({ table: "x" })).toContain("must be a number");
    expect(await refused({ gateways: ["10.1.1.1", "10.1.1.2"] })).toBe(
      "gateways list contains multiple IPv4 addresses: 10.1.1.1 and 10.1.1.2",
    );
    expect(await refused({ gateways: ["fd00::1", "fd00::2"] })).toContain("multiple IPv6 addresses");
    expect(await refused({ gateways: ["1.1.1.1", "fd00::2", "2.2.2.2"] })).toContain(
      "cannot contain more than 2 entries",
    );
    expect(await refused({ gateways: ["nowhere"] })).toBe("invalid static gateway IP address: nowhere");
    expect(await refused({ prevResult: undefined })).toBe("This plugin must be called as chained plugin");
    expect(await refused({ prevResult: { cniVersion: "1.1.0" } })).toBe("No IP addresses supplied on interface: net1");
    expect(await refusal(host, sbrConf(result), "a", { ifname: "net1", netns: "/run/netns/none" })).toContain(
      "/run/netns/none",
    );
    expect([await rules(), await table("all")]).toEqual(before);
    // A DEL that failed would keep the other plugins of the list from theirs.
    for (const wrong of [{ table: 0 }, { table: "x" }]) await detach(host, sbrConf(result, wrong), "a", NET1);
  });
});

describe("ADD", () => {
  it("gives everything back where a route is refused in the middle", async () => {
    host = await world();
    const result = await twoInterfaces();
    const before = [await rules(), await table("all")];
    expect(await refusal(host, sbrConf(result, { gateways: ["10.77.0.1"] }), "a", NET1)).toContain(
      "add route 0.0.0.0/0 via 10.77.0.1",
    );
    expect([await rules(), await table("all")]).toEqual(before);
  });

  it("works again after the interface was removed and no DEL came", async () => {
    host = await world();
    await add(host, sbrConf(await twoInterfaces(netConf(12, STATIC))), "a", NET1);
    await host.ok(["ip", "-n", "a", "link", "del", "net1"]);
    const result = await add(host, netConf(12, STATIC), "a", NET1);
    await add(host, sbrConf(result), "a", NET1);
    expect(await rules()).toMatch(/^\d+:\tfrom 10\.12\.0\.5 lookup 100 proto 116\n$/);
  });

  it("hands the result on in every config version", async () => {
    host = await world();
    for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
      const id = `v${cniVersion.replaceAll(".", "")}`;
      const result = await attach(host, netConf(12, { cniVersion }), id, NET1);
      expect(await add(host, sbrConf(result, { cniVersion }), id, NET1)).toEqual(result);
      expect(await host.ok(["ip", "-n", id, "rule"])).toMatch(/from 10\.12\.0\.\d+ lookup 100/);
    }
  });
});

const STATIC = { ipam: { type: "static", addresses: [{ address: "10.12.0.5/24", gateway: "10.12.0.1" }] } };

describe("DEL", () => {
  it.each([
    ["with the interface gone", "ip -n a link del net1", {}],
    ["with the namespace gone", "ip netns del a", {}],
    ["with CNI_NETNS empty", "ip netns del a", { netns: "" }],
  ])("%s succeeds, twice, and leaves no rule", async (_, harm, options) => {
    host = await world();
    const result = await twoInterfaces();
    await add(host, sbrConf(result), "a", NET1);
    await host.sh(harm);
    for (const prevResult of [result, undefined]) await detach(host, sbrConf(prevResult), "a", { ...NET1, ...options });
    if (!harm.includes("netns")) expect(await rules()).toBe("");
  });

  it("without a prevResult, of an interface that is gone, leaves no rule either, and others' be", async () => {
    host = await world();
    const [result, other] = [await twoInterfaces(), await add(host, netConf(13), "a", { ifname: "net2" })];
    await add(host, sbrConf(result), "a", NET1);
    await add(host, sbrConf(other, { name: "net13" }), "a", { ifname: "net2" });
    await host.ok(["ip", "-n", "a", "link", "del", "net1"]);
    await detach(host, sbrConf(undefined), "a", NET1);
    expect((await rules()).match(/from \S+/g)).toEqual(["from 10.13.0.2", "from fd13::2"]);
  });
});

async function checkNet1(conf: Conf): Promise<string> {
  const out = await host.cni("CHECK", "sbr", conf, { ...containerOf("a"), ...NET1 });
  return out.exitCode === 0 ? "" : (out.json as { msg: string }).msg;
}

it("CHECK names what is missing, and passes what others added", async () => {
  host = await world();
  const conf = sbrConf(await twoInterfaces(), { addSourceHints: true });
  await add(host, conf, "a", NET1);
  for (const [harm, repair, message] of [
    ["rule add from 10.50.0.1 table 9", "rule del from 10.50.0.1 table 9", ""],
    ["route add 10.51.0.0/16 dev net1 table 100", "route del 10.51.0.0/16 dev net1 table 100", ""],
    ["rule del from 10.12.0.2 table 100", "rule add from 10.12.0.2 table 100", "lacks the rule from 10.12.0.2/32"],
    ["-6 rule del from fd12::2 table 101", "-6 rule add from fd12::2 table 101", "lacks the rule from fd12::2/128"],
    [
      "route del default table 100",
      "route add default via 10.12.0.1 dev net1 table 100",
      "table 100 in /run/netns/a lacks the default route via 10.12.0.1 by net1",
    ],
    [
      "-6 route del default table 101",
      "-6 route add default via fd12::1 dev net1 table 101",
      "default route via fd12::1",
    ],
    [
      "route del 10.12.0.0/24 table 100",
      "route add 10.12.0.0/24 dev net1 table 100",
      "table 100 in /run/netns/a lacks the route 10.12.0.0/24 by net1",
    ],
    [
      "route del 10.12.0.0/24 table main",
      "route add 10.12.0.0/24 dev net1 src 10.12.0.2",
      "the main table in /run/netns/a lacks the route 10.12.0.0/24 by net1 from 10.12.0.2",
    ],
    ["link del net1", "link show lo", "net1 is gone"],
  ] as const) {
    expect(await checkNet1(conf)).toBe("");
    await host.sh(`ip -n a ${harm}`);
    const said = await checkNet1(conf);
    if (message === "") expect(said).toBe("");
    else expect(said, harm).toContain(message);
    await host.sh(`ip -n a ${repair}`);
    if (harm.startsWith("link")) return;
  }
});

it("GC and STATUS have nothing to do but to read the config", async () => {
  host = await world();
  await well(host.cni("GC", "sbr", sbrConf(undefined, { "cni.dev/valid-attachments": [] })));
  await well(host.cni("STATUS", "sbr", sbrConf(undefined)));
  expect((await host.cni("STATUS", "sbr", sbrConf(undefined, { table: -1 }))).json).toMatchObject({ code: 7 });
});
