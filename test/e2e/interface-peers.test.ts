/**
 * The plugins of one interface beside the reference's: the same answers, and what one added the other checks and
 * takes down.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Host, PLUGINS } from "./host.ts";
import { fault, hostLocal, lan, type Result, shown } from "./lan.ts";
import { reference, WITH_REFERENCE } from "./peers.ts";

const THEIRS = reference?.directory ?? "";
const A = { id: "a", netns: "/run/netns/a" };

let host: Host;
beforeEach(async () => {
  host = await lan();
  await host.addNetns("a");
});
afterEach(() => host.destroy());

function conf(type: string, more: object = {}): Record<string, unknown> {
  return { cniVersion: "1.0.0", name: "net1", type, ipam: hostLocal(), ...more };
}

async function added(config: Record<string, unknown>, path: string, args = {}): Promise<Result> {
  const out = await host.cni("ADD", String(config.type), config, { ...A, path, ...args });
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
  return out.json as Result;
}

const MAC = "02:00:00:00:00:01";
const cases = [
  ["macvlan", { master: "m0", mac: MAC, mode: "vepa", mtu: 1400, bcqueuelen: 500 }],
  ["macvlan", { mac: MAC, ipam: {}, dns: { nameservers: ["10.0.0.1"] } }],
  ["tap", { mac: MAC, mtu: 1400, multiQueue: true, owner: 1000 }],
  ["host-device", { device: "m0" }],
  ["host-device", { device: "m0", ipam: {} }],
] as const;

describe.skipIf(reference === undefined)(WITH_REFERENCE, () => {
  test.each(cases)("%s with %j: one result and one interface, of either", async (type, more) => {
    const config = conf(type, more);
    const seen: unknown[] = [];
    for (const path of [PLUGINS, THEIRS]) {
      const result = await added(config, path);
      const { linkinfo, mtu, address, flags } = await shown(host, "a", "eth0");
      const addresses = (await host.ok(["ip", "-n", "a", "-4", "-o", "addr", "show", "eth0"])).replace(/^\d+: /, "");
      seen.push({
        result,
        linkinfo,
        mtu,
        address,
        flags,
        addresses,
        routes: await host.ok(["ip", "-n", "a", "route"]),
      });
      expect(await fault(host, "DEL", type, config, { ...A, path })).toBe("");
      // So that the next one gets the same address.
      await host.sh("rm -rf /var/lib/cni/networks");
    }
    expect(seen[0]).toEqual(seen[1]);
  });

  test.each([
    ["ours", "theirs", PLUGINS, THEIRS],
    ["theirs", "ours", THEIRS, PLUGINS],
  ])("what %s added %s checks and takes down", async (_, _by, one, other) => {
    const before = await host.snapshot();
    for (const [type, more] of cases) {
      const config = conf(type, more);
      const prevResult = await added(config, one);
      // Theirs looks for the master by the config alone.
      expect(await fault(host, "CHECK", type, { ...config, prevResult }, { ...A, path: other }), type).toBe("");
      expect(await fault(host, "DEL", type, config, { ...A, path: other }), type).toBe("");
      expect(await host.run(["ip", "-n", "a", "link", "show", "eth0"]), type).toMatchObject({ exitCode: 1 });
      // What ours has on file of a device goes with the next DEL, and theirs leaves a device down.
      expect(await fault(host, "DEL", type, config, A)).toBe("");
      await host.ok(["ip", "link", "set", "m0", "up"]);
    }
    expect(await host.snapshot()).toBe(before);
  });

  test("an interface of theirs that is not told by a tag goes; one of another kind, or of another container, stays", async () => {
    await added(conf("macvlan", { master: "m0" }), THEIRS);
    const stays = { ...conf("tap"), name: "net2", ipam: {} };
    expect(await fault(host, "DEL", "tap", stays)).toBe("");
    expect(await shown(host, "a", "eth0")).toMatchObject({ linkinfo: { info_kind: "macvlan" } });
    expect(await fault(host, "DEL", "macvlan", conf("macvlan"))).toBe("");
    await added(conf("macvlan", { master: "m0" }), PLUGINS);
    expect(await fault(host, "DEL", "macvlan", { ...conf("macvlan"), name: "net2", ipam: {} })).toBe("");
    expect(await shown(host, "a", "eth0")).toMatchObject({ linkinfo: { info_kind: "macvlan" } });
  });

  test.each([
    ["ipvlan", { master: "m0" }],
    ["vlan", { master: "m0", vlanId: 5 }],
  ])("%s is refused by this kernel for both, or made by both", async (type, more) => {
    const tried = async (path: string) => {
      const out = await host.cni("ADD", type, conf(type, more), { ...A, path });
      await host.cni("DEL", type, conf(type, more), { ...A, path });
      return out.exitCode;
    };
    expect(await tried(PLUGINS)).toBe(await tried(THEIRS));
  });
});
