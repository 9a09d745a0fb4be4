/**
 * ipvlan and vlan. A kernel that has them is taken through ADD, CHECK and DEL; one that lacks them refuses, in clear
 * words, and leaves nothing.
 */
import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { fault, hostLocal, LAN, lan, shown } from "./lan.ts";

let host: Host;
afterEach(() => host.destroy());

function conf(type: string, more: object = {}): Record<string, unknown> {
  return { cniVersion: "1.0.0", name: "net1", type, master: "m0", ipam: hostLocal(), ...more };
}

const VLAN = { vlanId: 100 };

describe.each([
  ["ipvlan", {}],
  ["vlan", VLAN],
] as const)("%s", (type, keys) => {
  it("is added, checked and deleted, or refused as the kernel lacks it; the host is as before", async () => {
    host = await lan();
    const netns = await host.addNetns("a");
    const before = await host.snapshot();
    const out = await host.cni("ADD", type, conf(type, { ...keys, mtu: 1400 }), { id: "a", netns });
    if (out.exitCode === 0) {
      expect(await shown(host, "a", "eth0")).toMatchObject({ linkinfo: { info_kind: type }, mtu: 1400 });
      const prevResult = out.json;
      expect(await fault(host, "CHECK", type, conf(type, { ...keys, mtu: 1400, prevResult }))).toBe("");
    } else {
      expect(out.json).toMatchObject({
        code: 102,
        msg: expect.stringContaining(`this kernel has no ${type}: load its`),
      });
      const status = await fault(host, "STATUS", type, conf(type, { ...keys, cniVersion: "1.1.0" }));
      expect(status).toContain(`50 this kernel has no ${type}`);
    }
    for (let times = 0; times < 2; times++) expect(await fault(host, "DEL", type, conf(type, keys))).toBe("");
    expect(await fault(host, "DEL", type, conf(type, { ...keys, master: "m9" }), { netns: "" })).toBe("");
    expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toContain("eth0");
    expect(await host.snapshot()).toBe(before);
  });

  it("leaves another kind of interface of that name to its maker", async () => {
    host = await lan();
    await host.addNetns("a");
    await host.ok(["ip", "link", "add", "eth0", "netns", "a", "type", "bridge"]);
    expect(await fault(host, "ADD", type, conf(type, keys))).toContain("100 container interface name (eth0) already");
    expect(await fault(host, "DEL", type, conf(type, keys))).toBe("");
    expect(await host.ok(["ip", "-n", "a", "-br", "link"])).toContain("eth0");
    const prevResult = { cniVersion: "1.0.0", interfaces: [{ name: "eth0", sandbox: "/run/netns/a" }] };
    const check = (more: object = {}) => fault(host, "CHECK", type, conf(type, { ...keys, prevResult, ...more }));
    // The address first: that is asked of IPAM.
    expect(await check()).toContain("103 host-local: Failed to find address");
    await host.sh("mkdir -p /var/lib/cni/networks/net1; printf 'a\\r\\neth0' > /var/lib/cni/networks/net1/10.40.0.10");
    expect(await check()).toBe(`103 eth0 in /run/netns/a is bridge, wanted ${type}`);
    const elsewhere = { ...prevResult, interfaces: [{ name: "eth0", sandbox: "/run/netns/b" }] };
    expect(await check({ prevResult: elsewhere })).toBe("103 prevResult has no interface eth0 in /run/netns/a");
  });

  it("GC frees the addresses of what is not listed", async () => {
    host = await lan();
    const newest = conf(type, { ...keys, cniVersion: "1.1.0" });
    await host.sh("mkdir -p /var/lib/cni/networks/net1; printf 'a\\r\\neth0' > /var/lib/cni/networks/net1/10.40.0.10");
    expect(await fault(host, "GC", type, newest)).toBe("");
    expect(await host.ok(["ls", "/var/lib/cni/networks/net1"])).toContain("10.40.0.10");
    expect(await fault(host, "GC", type, { ...newest, "cni.dev/valid-attachments": [] })).toBe("");
    expect(await host.ok(["ls", "/var/lib/cni/networks/net1"])).not.toContain("10.40.0.10");
  });
});

it("what cannot be is refused, each by its name, and leaves nothing", async () => {
  host = await lan();
  await host.addNetns("a");
  const before = await host.snapshot();
  const refused = (type: string, more: object) => fault(host, "ADD", type, conf(type, more));
  expect(await refused("ipvlan", { mode: "l4" })).toContain('7 unknown ipvlan mode: "l4"');
  expect(await refused("ipvlan", { mtu: 1501 })).toBe("7 invalid MTU 1501, must be [0, master MTU(1500)]");
  expect(await refused("ipvlan", { ipam: {} })).toContain("7 ipvlan has no addresses to give");
  expect(await refused("ipvlan", { master: "m9" })).toContain('104 failed to lookup master "m9"');
  expect(await refused("vlan", { master: "" })).toContain('7 "master" field is required');
  expect(await refused("vlan", { vlanId: 4095 })).toBe("7 invalid VLAN ID 4095 (must be between 0 and 4094 inclusive)");
  expect(await refused("vlan", { vlanId: -1 })).toContain("7 invalid VLAN ID -1");
  expect(await refused("vlan", { vlanId: 1.5 })).toContain("6 vlanId must be a whole number, not 1.5");
  expect(await refused("vlan", { mtu: 9000 })).toBe("7 invalid MTU 9000, must be [0, master MTU(1500)]");
  expect(await refused("vlan", { ipam: {} })).toContain("7 ipam.type is missing");
  expect(await refused("vlan", { linkInContainer: true })).toContain("the container has no such link");
  expect(await host.snapshot()).toBe(before);
});

describe("ipvlan in a chain", () => {
  const ips = [{ address: "10.40.0.9/24", gateway: LAN[4], interface: 0 }];
  const prev = (...names: readonly string[]) => ({
    cniVersion: "1.0.0",
    interfaces: names.map((name) => ({ name })),
    ips,
  });

  it("takes the one interface of the plugin before for its master, and refuses to choose between two", async () => {
    host = await lan();
    await host.addNetns("a");
    const chained = (prevResult: object) =>
      fault(host, "ADD", "ipvlan", conf("ipvlan", { master: "", ipam: {}, prevResult }));
    expect(await chained(prev("m0", "up0"))).toContain("7 chained master failure. PrevResult lacks a single named");
    expect(await chained(prev("m9"))).toContain('104 failed to lookup master "m9"');
    // No IPAM is asked: the addresses are those of the plugin before.
    expect(await chained(prev("m0"))).toMatch(/^$|^102 this kernel has no ipvlan/);
    expect(await chained({ ...prev("m0"), ips: [] })).toContain("7 ipvlan has no addresses to give");
  });
});
