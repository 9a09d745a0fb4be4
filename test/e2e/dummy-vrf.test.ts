/**
 * dummy and vrf, as far as the kernel goes: one that has them does all of it, one that lacks them is to say so and
 * to be left as it was. Their messages are beside iproute2's in test/lib/netlink/container-kinds.test.ts.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { add, attach, type Conf, check, containerOf, detach, ptpConf, refusal, well } from "./attachments.ts";
import type { Host } from "./host.ts";
import { world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
  await host.addNetns("a");
});
afterEach(() => host.destroy());

async function kernelHas(kind: string): Promise<boolean> {
  const made = await host.run([
    "ip",
    "-n",
    "a",
    "link",
    "add",
    "probe",
    "type",
    kind,
    ...(kind === "vrf" ? ["table", "9"] : []),
  ]);
  await host.run(["ip", "-n", "a", "link", "del", "probe"]);
  return made.exitCode === 0;
}

const answerOf = async (verb: string, conf: Conf) => (await host.cni(verb, conf.type, conf, containerOf("a"))).json;

describe("dummy", () => {
  function dummyConf(more: Readonly<Record<string, unknown>> = {}): Conf {
    return {
      ...{ cniVersion: "1.1.0", name: "net1", type: "dummy" },
      ipam: { type: "host-local", ranges: [[{ subnet: "10.14.0.0/24" }], [{ subnet: "fd14::/64" }]] },
      ...more,
    };
  }

  it("gives an interface with addresses, or says what the kernel lacks and leaves nothing", async () => {
    const has = await kernelHas("dummy");
    const before = await host.snapshot();
    if (!has) {
      expect(await answerOf("ADD", dummyConf())).toMatchObject({
        code: 102,
        msg: expect.stringContaining("this kernel has no dummy: load its module (modprobe dummy)"),
      });
      expect(await answerOf("STATUS", dummyConf())).toMatchObject({
        code: 50,
        msg: expect.stringContaining("no dummy"),
      });
      return void expect(await host.snapshot()).toBe(before);
    }
    await well(host.cni("STATUS", "dummy", dummyConf()));
    const result = await add(host, dummyConf(), "a");
    expect(result.interfaces).toEqual([{ name: "eth0", mac: expect.any(String), mtu: 1500, sandbox: "/run/netns/a" }]);
    expect(result.ips[0]).toEqual({ interface: 0, address: "10.14.0.2/24", gateway: "10.14.0.1" });
    expect(await check(host, dummyConf(), result, "a")).toBe("");
    await host.ok(["ip", "-n", "a", "link", "set", "eth0", "down"]);
    expect(await check(host, dummyConf(), result, "a")).toContain("is down, wanted up");
    await detach(host, dummyConf(), "a");
    expect(await host.snapshot()).toBe(before);
  });

  it("refuses a config without addresses, and a name that is taken", async () => {
    const before = await host.snapshot();
    for (const ipam of [undefined, {}, { type: "" }]) {
      expect(await answerOf("ADD", dummyConf({ ipam }))).toMatchObject({
        code: 7,
        msg: "dummy interface requires an IPAM configuration",
      });
      expect(await answerOf("STATUS", dummyConf({ ipam }))).toMatchObject({ code: 7 });
    }
    expect(await refusal(host, dummyConf(), "a", { ifname: "lo" })).toContain("(lo) already exists");
    expect(await host.snapshot()).toBe(before);
  });

  it("DEL frees the address, twice, with the namespace gone, and leaves another plugin's interface", async () => {
    await attach(host, ptpConf({ name: "other" }), "b");
    const before = await host.snapshot();
    await well(host.cni("ADD", "host-local", dummyConf(), containerOf("b")));
    for (let times = 0; times < 2; times++) await detach(host, dummyConf(), "b");
    expect(await host.snapshot()).toBe(before);
    expect(await host.ok(["ip", "-n", "b", "-br", "link"])).toContain("eth0");
    await detach(host, dummyConf(), "none");
    await detach(host, dummyConf({ ipam: {} }), "none", { netns: "" });
  });

  it("GC frees what is not in the list, STATUS tells of an exhausted pool, CHECK of an interface that is none", async () => {
    const before = await host.snapshot();
    await well(host.cni("ADD", "host-local", dummyConf(), containerOf("b")));
    const full = await host.snapshot();
    await well(host.cni("GC", "dummy", dummyConf()));
    expect(await host.snapshot()).toBe(full);
    await well(host.cni("GC", "dummy", dummyConf({ "cni.dev/valid-attachments": [] })));
    expect(await host.snapshot()).toBe(before);
    const conf = dummyConf({ name: "net1" });
    const result = await add(host, ptpConf({ ipam: conf.ipam }), "a");
    expect(await check(host, conf, result, "a")).toContain("eth0 in /run/netns/a is veth, wanted dummy");
    expect(await check(host, conf, { cniVersion: "1.1.0" }, "a")).toContain("prevResult has no interface eth0");
  });
});

describe("vrf", () => {
  function vrfConf(prevResult: object | undefined, more: Readonly<Record<string, unknown>> = {}): Conf {
    return { ...{ cniVersion: "1.1.0", name: "net1", type: "vrf", vrfname: "blue" }, prevResult, ...more };
  }

  it("moves the interface in with its addresses and routes, or says what the kernel lacks and leaves nothing", async () => {
    const has = await kernelHas("vrf");
    const result = await add(host, ptpConf(), "a");
    // But for the kernel's own link-local address, which comes a moment after the link.
    const inside = () =>
      host.sh("{ ip -n a -o addr; ip -n a route show table all; ip -n a -6 route show table all; } | grep -v fe80");
    const before = await inside();
    if (!has) {
      expect(await answerOf("ADD", vrfConf(result))).toMatchObject({
        code: 102,
        msg: expect.stringContaining("this kernel has no vrf: load its module (modprobe vrf)"),
      });
      expect(await answerOf("STATUS", vrfConf(undefined))).toMatchObject({
        code: 50,
        msg: expect.stringContaining("no vrf"),
      });
      return void expect(await inside()).toBe(before);
    }
    await well(host.cni("STATUS", "vrf", vrfConf(undefined)));
    expect(await add(host, vrfConf(result, { table: 7 }), "a")).toEqual(result);
    expect(await host.sh("ip -n a route show vrf blue")).toContain("10.11.0.0/24 via 10.11.0.1 dev eth0");
    expect(await host.sh("ip -n a -6 route show vrf blue")).toContain("fd11::/64 via fd11::1 dev eth0");
    expect(await host.sh("ip -n a -6 addr show dev eth0")).toContain("fd11::2/64");
    expect(await check(host, vrfConf(undefined), result, "a")).toBe("");
    await host.ok(["ip", "-n", "a", "link", "set", "eth0", "nomaster"]);
    expect(await check(host, vrfConf(undefined), result, "a")).toBe("failed to find eth0 associated to vrf blue");
    await detach(host, vrfConf(result), "a");
    expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toContain("blue");
  });

  it("refuses each key by its name, an interface that is not there or somebody's port, and another kind of link", async () => {
    const result = await add(host, ptpConf(), "a");
    const refused = (more: object) => refusal(host, vrfConf(result, { ...more }), "a");
    expect(await refused({ vrfname: undefined })).toContain("configuration is expected to have a valid vrf name");
    expect(await refused({ vrfname: "a/b" })).toContain('vrfname "a/b" is no interface name');
    expect(await refused({ table: -1 })).toContain("table is -1");
    expect(await refused({ table: 4294967296 })).toContain("table is 4294967296");
    expect(await refused({ prevResult: undefined })).toBe("missing prevResult from earlier plugin");
    expect(await refused({ vrfname: "lo" })).toContain("lo exists but is not a VRF");
    expect(await refusal(host, vrfConf(result), "a", { ifname: "net9" })).toContain("could not get link by name net9");
    await host.sh("ip -n a link add br0 type bridge; ip -n a link set eth0 master br0");
    expect(await refused({})).toBe("interface eth0 has already a master set: br0");
    expect(await answerOf("ADD", vrfConf(result, { cniVersion: "0.3.0" }))).toMatchObject({ code: 1 });
    expect(await answerOf("VERSION", vrfConf(undefined))).toMatchObject({
      supportedVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    });
  });

  it("DEL, GC and STATUS of nothing succeed, and CHECK names what is not there", async () => {
    const result = await add(host, ptpConf(), "a");
    const before = await host.snapshot();
    for (let times = 0; times < 2; times++) await detach(host, vrfConf(undefined), "a");
    await detach(host, vrfConf(result), "a", { ifname: "net9" });
    await detach(host, vrfConf(result), "a", { netns: "" });
    await detach(host, vrfConf(result), "none");
    for (const vrfname of ["eth0", 5]) await detach(host, vrfConf(result, { vrfname }), "a");
    await well(host.cni("GC", "vrf", vrfConf(undefined, { "cni.dev/valid-attachments": [] })));
    expect(await host.snapshot()).toBe(before);
    expect(await check(host, vrfConf(undefined), result, "a")).toBe("VRF blue is gone");
    expect(await check(host, vrfConf(undefined, { vrfname: "eth0" }), result, "a")).toBe("eth0 is veth, wanted a VRF");
    expect(await answerOf("STATUS", vrfConf(undefined, { vrfname: "" }))).toMatchObject({ code: 7 });
  });
});
