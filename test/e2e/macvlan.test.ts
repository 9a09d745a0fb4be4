import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { attach, fault, hostLocal, LAN, lan, shown } from "./lan.ts";
import { ask, serve } from "./packets.ts";

let host: Host;
afterEach(() => host.destroy());

function conf(more: object = {}): Record<string, unknown> {
  return { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "m0", ipam: hostLocal(), ...more };
}

describe("a container on a macvlan", () => {
  it("talks to its neighbour and to a machine on the master's network, by IPv4 and IPv6", async () => {
    host = await lan();
    const dual = conf({ ipam: hostLocal(true) });
    const [a] = await Promise.all([
      attach(host, "macvlan", dual, { id: "a" }),
      attach(host, "macvlan", dual, { id: "b" }),
      serve(host, "lan", 81, "lan"),
    ]);
    await serve(host, "b", 80, "b");
    const addresses = (a.ips ?? []).map(({ address }) => address.split("/")[0]);
    const other = (await host.ok(["ip", "-n", "b", "-o", "addr", "show", "dev", "eth0", "scope", "global"])).split(
      "\n",
    );
    for (const [at, family] of ([4, 6] as const).entries()) {
      const b = /inet6? (\S+)\//.exec(other[at] ?? "")?.[1] ?? "";
      expect(await ask(host, "a", "tcp", b, 80)).toBe(`b ${addresses[at]}`);
      expect(await ask(host, "a", "udp", LAN[family], 81)).toBe(`lan ${addresses[at]}`);
    }
  });

  it("in mode private does not reach its neighbour, but the machine beyond", async () => {
    host = await lan();
    await attach(host, "macvlan", conf({ mode: "private" }), { id: "a" });
    const b = await attach(host, "macvlan", conf({ mode: "private" }), { id: "b" });
    const reaches = async (address: string) =>
      (await host.inNetns("a", ["ping", "-c1", "-W1", address])).exitCode === 0;
    expect([await reaches(b.ips?.[0]?.address.split("/")[0] ?? ""), await reaches(LAN[4])]).toEqual([false, true]);
  });

  it("announces its address, so that nobody goes on talking to a former holder of it", async () => {
    host = await lan();
    await host.ok(["ip", "-n", "lan", "neigh", "add", "10.40.0.10", "lladdr", "02:00:00:00:00:99", "dev", "m1"]);
    await host.ok(["ip", "-n", "lan", "neigh", "change", "10.40.0.10", "dev", "m1", "nud", "stale"]);
    const { interfaces } = await attach(host, "macvlan", conf(), { id: "a" });
    const told = `ip -n lan neigh show 10.40.0.10 | grep -q ${interfaces[0]?.mac}`;
    await host.sh(`for i in $(seq 50); do ${told} && exit; sleep 0.02; done; exit 1`);
  });
});

it("an IPv6 address that somebody on the network has is refused, and a MAC that another container has; nothing stays", async () => {
  host = await lan();
  await attach(host, "macvlan", conf({ mac: "02:00:00:00:00:01" }), { id: "first" });
  await host.addNetns("a");
  await host.ok(["ip", "-n", "lan", "addr", "add", "fd40::1/64", "dev", "m1", "nodad"]);
  const before = await host.snapshot();
  const refused = (more: object) => fault(host, "ADD", "macvlan", conf(more));
  expect(await refused({ ipam: hostLocal(true) })).toContain("101 link eth0 has address fd40::1/64 in DADFAILED state");
  expect(await refused({ ipam: { type: "../host-local" } })).toBe('7 invalid plugin name: "../host-local"');
  expect(await refused({ mac: "01:00:5e:00:00:01" })).toBe(
    "7 MAC address 01:00:5e:00:00:01 is a group's (its first byte is odd), which no interface can have",
  );
  expect(await refused({ mac: "00:00:00:00:00:00" })).toContain("7 MAC address 00:00:00:00:00:00 is all zeros");
  expect(await refused({ mac: "02:00:00:00:00:01" })).toMatch(/^101 .*another link has this address already/);
  expect(await host.snapshot()).toBe(before);
  expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toContain("eth0");
});

describe("the result", () => {
  it("names the one interface, its addresses and routes, in every config version", async () => {
    host = await lan();
    for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
      const id = `v${cniVersion.replaceAll(".", "")}`;
      const result = await attach(host, "macvlan", conf({ cniVersion }), { id });
      expect(result.cniVersion).toBe(cniVersion);
      if (cniVersion < "0.3") expect(result).toMatchObject({ ip4: { gateway: LAN[4] } });
      else {
        expect(result).toMatchObject({
          interfaces: [{ name: "eth0", mac: expect.any(String), sandbox: `/run/netns/${id}` }],
          ips: [{ address: expect.stringMatching(/^10\.40\.0\.1\d\/24$/), gateway: LAN[4], interface: 0 }],
          routes: [{ dst: "0.0.0.0/0" }],
        });
        expect(result.interfaces[0]?.mtu).toBe(cniVersion === "1.1.0" ? 1500 : undefined);
      }
    }
  });

  it("has no addresses without ipam, and the interface is up", async () => {
    host = await lan();
    const result = await attach(host, "macvlan", conf({ ipam: {}, dns: { nameservers: ["10.0.0.1"] } }), { id: "a" });
    expect(result.ips ?? []).toEqual([]);
    expect(result.dns).toEqual({ nameservers: ["10.0.0.1"] });
    expect((await shown(host, "a", "eth0")).flags).toContain("UP");
  });
});

describe("the interface", () => {
  it("is made with mode, MTU, MAC and broadcast queue as the config says, and is tagged as ours", async () => {
    host = await lan();
    const wanted = { mode: "vepa", mtu: 1400, mac: "02:00:00:00:00:01", bcqueuelen: 500 };
    await attach(host, "macvlan", conf(wanted), { id: "a" });
    expect(await shown(host, "a", "eth0")).toMatchObject({
      address: "02:00:00:00:00:01",
      mtu: 1400,
      ifalias: "tsnet net1 a eth0",
      linkinfo: { info_kind: "macvlan", info_data: { mode: "vepa", bcqueuelen: 500 } },
    });
  });

  it.each([
    ["runtimeConfig's MAC before all others", { runtimeConfig: { mac: "02:00:00:00:00:0a" } }, "02:00:00:00:00:0a"],
    ["args' MAC before CNI_ARGS and the config's", {}, "02:00:00:00:00:0b"],
    ["CNI_ARGS' MAC before the config's", { args: {} }, "02:00:00:00:00:0c"],
  ])("has %s", async (_, more, mac) => {
    host = await lan();
    const all = { mac: "02:00:00:00:00:0d", args: { cni: { mac: "02:00:00:00:00:0b" } }, ...more };
    const { interfaces } = await attach(host, "macvlan", conf(all), {
      id: "a",
      args: "IgnoreUnknown=1;MAC=02:00:00:00:00:0c",
    });
    expect(interfaces[0]?.mac).toBe(mac);
  });

  it("stands on the default route's interface if no master is named", async () => {
    host = await lan();
    await attach(host, "macvlan", conf({ master: "" }), { id: "a" });
    const [up0] = JSON.parse(await host.ok(["ip", "-j", "link", "show", "up0"]));
    expect(await shown(host, "a", "eth0")).toMatchObject({ link_index: up0.ifindex });
  });

  it("stands on a master in the container with linkInContainer", async () => {
    host = await lan();
    const netns = await host.addNetns("a");
    await host.sh("ip link set m0 netns a; ip -n a link set m0 up");
    const inside = conf({ linkInContainer: true });
    const out = await host.cni("ADD", "macvlan", inside, { id: "a", netns });
    expect(out, out.stdout).toMatchObject({ exitCode: 0 });
    expect(await shown(host, "a", "eth0")).toMatchObject({ link: "m0" });
    expect((await host.inNetns("a", ["ping", "-c1", "-W1", LAN[4]])).exitCode).toBe(0);
    expect(await fault(host, "CHECK", "macvlan", { ...inside, prevResult: out.json })).toBe("");
  });

  it("is made though the host has a link of that name", async () => {
    host = await lan();
    await host.ok(["ip", "link", "set", "up1", "name", "eth0"]);
    await attach(host, "macvlan", conf(), { id: "a" });
    expect(await shown(host, "a", "eth0")).toMatchObject({ linkinfo: { info_kind: "macvlan" } });
  });
});

it("refuses what cannot be, each by its name, and leaves nothing", async () => {
  host = await lan();
  await host.addNetns("a");
  await host.sh("ip link add br0 type bridge; ip link set up1 master br0");
  const before = await host.snapshot();
  const refused = (more: object, options = {}) => fault(host, "ADD", "macvlan", conf(more), options);
  expect(await refused({ mode: "switch" })).toContain('7 unknown macvlan mode: "switch"');
  expect(await refused({ mode: 1 })).toBe("6 mode in the network config must be a string, not 1");
  expect(await refused({ mtu: 1501 })).toBe("7 invalid MTU 1501, must be [0, master MTU(1500)]");
  expect(await refused({ mtu: -1 })).toContain("7 invalid MTU -1");
  expect(await refused({ mtu: 20 })).toContain("7 invalid MTU 20");
  expect(await refused({ master: "m9" })).toBe('104 failed to lookup master "m9": the host has no such link');
  expect(await refused({ master: "a/b" })).toContain('7 master "a/b" is no interface name');
  expect(await refused({ mac: "02:00" })).toBe('7 invalid MAC address: "02:00"');
  expect(await refused({ bcqueuelen: -1 })).toContain("7 bcqueuelen is -1");
  expect(await refused({}, { args: "NOPE=1" })).toContain("4 ARGS: unknown args");
  expect(await refused({ linkInContainer: true })).toContain('failed to lookup master "m0": the container has no such');
  expect(await refused({ master: "lo" })).toContain("7 cannot make a macvlan on lo: ");
  expect(await refused({ master: "up1" })).toContain("11 cannot make a macvlan on up1: it is a port of a bridge");
  expect(await refused({ ipam: { type: "none" } })).toContain('failed to find plugin "none"');
  await host.ok(["ip", "route", "del", "default"]);
  expect(await refused({ master: undefined })).toContain("104 no default route interface found on the host");
  await host.ok(["ip", "route", "add", "default", "via", "192.168.60.2"]);
  expect(await host.snapshot()).toBe(before);
  expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toContain("eth0");
});

it("takes the master for one container in mode passthru", async () => {
  host = await lan();
  await attach(host, "macvlan", conf({ mode: "passthru" }), { id: "a" });
  await host.addNetns("b");
  expect(await fault(host, "ADD", "macvlan", conf(), { id: "b" })).toContain(
    "a master in mode passthru has one macvlan",
  );
});

it("over an existing interface fails, and the DEL that follows leaves that be", async () => {
  host = await lan();
  await attach(host, "macvlan", conf(), { id: "a" });
  const before = await host.ok(["ip", "-n", "a", "-o", "addr"]);
  const other = { ...conf(), name: "net2" };
  expect(await fault(host, "ADD", "macvlan", other)).toContain("100 container interface name (eth0) already exists");
  expect(await fault(host, "DEL", "macvlan", other)).toBe("");
  expect(await host.ok(["ip", "-n", "a", "-o", "addr"])).toBe(before);
});

describe("CHECK", () => {
  it.each([
    ["nothing", "true", ""],
    [
      "an unrelated address, route and link",
      "ip -n a addr add 10.200.0.1/32 dev eth0; ip -n a route add 10.201.0.0/16 dev eth0; ip -n a link add x0 type veth",
      "",
    ],
    [
      "the address",
      "ip -n a addr del 10.40.0.10/24 dev eth0",
      "103 eth0 in /run/netns/a lacks the address 10.40.0.10/24",
    ],
    ["the route", "ip -n a route del default", "lacks the route 0.0.0.0/0 via 10.40.0.254"],
    ["the MAC", "ip -n a link set eth0 address 02:00:00:00:00:01", "eth0 has the MAC 02:00:00:00:00:01"],
    ["the MTU", "ip -n a link set eth0 mtu 1300", "eth0 in /run/netns/a has the MTU 1300, wanted 1400"],
    ["the mode", "ip -n a link set eth0 type macvlan mode private", "is in macvlan mode private, wanted bridge"],
    ["the broadcast queue", "ip -n a link set eth0 type macvlan bcqueuelen 9", "has a bcqueuelen of 9, wanted 500"],
    ["the interface, set down", "ip -n a link set eth0 down", "eth0 in /run/netns/a is down"],
    ["the interface", "ip -n a link del eth0", "interface of a eth0 is gone"],
    [
      "its kind",
      "ip -n a link del eth0; ip -n a link add eth0 type bridge",
      "eth0 in /run/netns/a is bridge, wanted macvlan",
    ],
    ["the master", "ip link del m0", "interface of a eth0 is gone"],
    [
      "which master",
      "ip -n a link del eth0; ip link add link up0 eth0 netns a type macvlan mode bridge",
      "eth0 does not stand on its master m0",
    ],
    ["the reservation", "rm /var/lib/cni/networks/net1/10.40.0.10", "Failed to find address added by container a"],
  ])("after a change of %s says so, or passes where nothing of ours changed", async (_, script, message) => {
    host = await lan();
    const config = conf({ mtu: 1400, bcqueuelen: 500 });
    const prevResult = await attach(host, "macvlan", config, { id: "a" });
    await host.sh(script);
    const said = await fault(host, "CHECK", "macvlan", { ...config, prevResult });
    if (message === "") expect(said).toBe("");
    else expect(said).toContain(message);
  });
});

describe("containers row 8: DEL", () => {
  it.each([
    ["twice", "true", {}],
    ["with the namespace gone", "ip netns del a", {}],
    ["with CNI_NETNS empty", "true", { netns: "" }],
    ["with the master gone, and its default route", "ip -n a link del eth0; ip route del default", { id: "a" }],
  ] as const)("%s leaves the host as before", async (_, harm, options) => {
    host = await lan();
    if (harm.includes("default")) await host.ok(["ip", "route", "del", "default"]);
    const before = await host.snapshot();
    if (harm.includes("default")) await host.ok(["ip", "route", "add", "default", "via", "192.168.60.2"]);
    await attach(host, "macvlan", conf(), { id: "a" });
    await host.sh(harm);
    const gone = harm.includes("default") ? conf({ master: "" }) : conf();
    for (let times = 0; times < 2; times++) expect(await fault(host, "DEL", "macvlan", gone, options)).toBe("");
    await host.run(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });
});

it("GC frees the addresses of what is not listed, and STATUS tells what an ADD would fail for", async () => {
  host = await lan();
  const newest = conf({ cniVersion: "1.1.0" });
  await attach(host, "macvlan", newest, { id: "a" });
  await attach(host, "macvlan", newest, { id: "b" });
  const held = () => host.sh("ls /var/lib/cni/networks/net1 | grep ^10 || true");
  expect(await fault(host, "GC", "macvlan", newest)).toBe("");
  expect((await held()).split("\n").length).toBe(3);
  const keep = { "cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }] };
  expect(await fault(host, "GC", "macvlan", { ...newest, ...keep })).toBe("");
  expect(await held()).toBe("10.40.0.10\n");
  expect(await fault(host, "STATUS", "macvlan", newest)).toBe("");
  expect(await fault(host, "STATUS", "macvlan", { ...newest, master: "m9" })).toContain(
    '50 failed to lookup master "m9"',
  );
  const full = {
    type: "host-local",
    ranges: [[{ subnet: "10.40.0.0/24", rangeStart: "10.40.0.10", rangeEnd: "10.40.0.10" }]],
  };
  expect(await fault(host, "STATUS", "macvlan", { ...newest, ipam: full })).toMatch(/^50 /);
});
