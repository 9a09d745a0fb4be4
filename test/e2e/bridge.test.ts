import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { BEYOND, bridgeConf, HOST, world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

interface Result {
  readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly sandbox?: string }[];
  readonly ips: readonly { readonly address: string; readonly gateway?: string; readonly interface: number }[];
}

async function attach(id: string, conf: object, more: { readonly ifname?: string } = {}): Promise<Result> {
  const netns = await host.addNetns(id);
  const out = await host.cni("ADD", "bridge", conf, { id, netns, ...more });
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
  return out.json as Result;
}

const addressOf = (result: Result, family: 4 | 6): string =>
  result.ips.map((ip) => ip.address.split("/")[0] ?? "").find((ip) => ip.includes(":") === (family === 6)) ?? "";

describe.each(["iptables", "nftables"])(
  "containers row 8: a container on a bridge, masqueraded by %s",
  (ipMasqBackend) => {
    it("talks to its neighbour, its gateway and a machine beyond, which sees the host's address", async () => {
      host = await world();
      const conf = bridgeConf({ ipMasq: true, ipMasqBackend });
      const [a, b] = [await attach("a", conf), await attach("b", conf)];
      await Promise.all([serve(host, "b", 80, "b"), serve(host, "", 81, "host"), serve(host, "beyond", 82, "beyond")]);
      for (const family of [4, 6] as const) {
        const me = addressOf(a, family);
        const gateway = family === 4 ? "10.11.0.1" : "fd11::1";
        for (const proto of ["tcp", "udp"] as const) {
          expect(await ask(host, "a", proto, addressOf(b, family), 80)).toBe(`b ${me}`);
          expect(await ask(host, "a", proto, gateway, 81)).toBe(`host ${me}`);
          expect(await ask(host, "a", proto, BEYOND[family], 82)).toBe(`beyond ${HOST[family]}`);
        }
      }
    });

    it.each([
      ["DEL twice", async (_id: string): Promise<void> => {}, {}],
      [
        "DEL with the namespace gone",
        async (id: string): Promise<void> => void (await host.ok(["ip", "netns", "del", id])),
        {},
      ],
      ["DEL with CNI_NETNS empty", async (): Promise<void> => {}, { netns: "" }],
      [
        "DEL with our rules flushed by somebody",
        async (): Promise<void> => void (await host.sh("nft flush ruleset; iptables -t nat -F")),
        {},
      ],
      [
        "DEL with the record of our rules gone",
        async (): Promise<void> => void (await host.sh("rm -rf /run/tsnet")),
        {},
      ],
    ] as const)("%s leaves the host as before", async (_, harm, options) => {
      host = await world();
      const conf = bridgeConf({ ipMasq: true, ipMasqBackend });
      await attach("first", conf);
      await host.cni("DEL", "bridge", conf, { id: "first", netns: "/run/netns/first" });
      await host.ok(["ip", "netns", "del", "first"]);
      const before = await host.snapshot();
      await attach("a", conf);
      await harm("a");
      for (let times = 0; times < 2; times++) {
        const out = await host.cni("DEL", "bridge", conf, { id: "a", netns: "/run/netns/a", ...options });
        expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0, stdout: "" });
      }
      await host.run(["ip", "netns", "del", "a"]);
      expect(await host.snapshot()).toBe(before);
    });
  },
);

describe("ADD", () => {
  it("answers in the shape of every config version", async () => {
    host = await world();
    for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
      const id = `v${cniVersion.replaceAll(".", "")}`;
      const netns = await host.addNetns(id);
      const out = await host.cni("ADD", "bridge", bridgeConf({ cniVersion }), { id, netns });
      expect(out, out.stdout).toMatchObject({ exitCode: 0, json: { cniVersion } });
      const old = cniVersion.startsWith("0.1") || cniVersion.startsWith("0.2");
      expect(Object.keys(out.json as object)).toContain(old ? "ip4" : "interfaces");
    }
  });

  it("names bridge, host's end and container's end, in this order", async () => {
    host = await world();
    const { interfaces, ips } = await attach("a", bridgeConf());
    expect(interfaces.map((one) => [one.name.replace(/[0-9a-f]{8}$/, "*"), one.sandbox])).toEqual([
      ["br0", undefined],
      ["veth*", undefined],
      ["eth0", "/run/netns/a"],
    ]);
    expect(ips).toEqual([
      { interface: 2, address: "10.11.0.2/24", gateway: "10.11.0.1" },
      { interface: 2, address: "fd11::2/64", gateway: "fd11::1" },
    ]);
  });

  it("over an existing interface fails and leaves it be", async () => {
    host = await world();
    await attach("a", bridgeConf());
    const before = await host.snapshot();
    const inside = await host.ok(["ip", "-n", "a", "-o", "addr"]);
    const out = await host.cni("ADD", "bridge", bridgeConf(), { id: "a", netns: "/run/netns/a" });
    expect(out.exitCode).not.toBe(0);
    expect(out.json).toMatchObject({
      msg: expect.stringContaining("container veth name (eth0) already exists in /run/netns/a"),
    });
    expect(await host.snapshot()).toBe(before);
    expect(await host.ok(["ip", "-n", "a", "-o", "addr"])).toBe(inside);
  });

  it.each([
    ["fails", 'echo \'{"cniVersion":"1.0.0","code":11,"msg":"not yet"}\'; exit 1', { code: 11, msg: "not yet" }],
    [
      "returns no address",
      'echo \'{"cniVersion":"1.0.0","ips":[]}\'',
      { msg: expect.stringContaining("missing IP config") },
    ],
    ["returns nonsense", "echo nonsense", { code: expect.any(Number) }],
  ])("leaves no veth where the IPAM plugin %s", async (_, script, error) => {
    host = await world();
    const netns = await host.addNetns("a");
    await host.ok(["ip", "link", "add", "br0", "type", "bridge"]);
    await host.ok(["ip", "link", "set", "br0", "up"]);
    await host.ok(["sh", "-c", "mkdir -p /run/fake && cat > /run/fake/faulty && chmod +x /run/fake/faulty"], {
      stdin: `#!/bin/sh\ncat >/dev/null\n[ "$CNI_COMMAND" = ADD ] || exit 0\n${script}\n`,
    });
    const before = await host.snapshot();
    const out = await host.cni("ADD", "bridge", bridgeConf({ ipam: { type: "faulty" } }), {
      id: "a",
      netns,
      env: { CNI_PATH: "/run/fake" },
    });
    expect(out.exitCode).not.toBe(0);
    expect(out.json).toMatchObject(error);
    expect(await host.snapshot()).toBe(before);
    expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toContain("eth0");
  });

  it("refuses a bridge of that name that is none, an address that the bridge contradicts, and impossible keys, each by name", async () => {
    host = await world();
    const netns = await host.addNetns("a");
    const refused = async (conf: object) => {
      const out = await host.cni("ADD", "bridge", conf, { id: "a", netns });
      expect(out.exitCode).not.toBe(0);
      return (out.json as { msg: string }).msg;
    };
    expect(await refused(bridgeConf({ bridge: "up0" }))).toContain("up0 exists but is not a bridge");
    await host.sh("ip link add br0 type bridge; ip addr add 10.99.0.1/16 dev br0; ip link set br0 up");
    const before = await host.snapshot();
    expect(await refused(bridgeConf())).toContain("bridge br0 already has an IP address different from 10.11.0.1/24");
    expect(await refused(bridgeConf({ hairpinMode: true, promiscMode: true }))).toContain(
      "hairpinMode and promiscMode",
    );
    expect(await refused(bridgeConf({ mtu: 20 }))).toContain("mtu is 20");
    expect(await refused(bridgeConf({ bridge: "a/b" }))).toContain('bridge "a/b" is no interface name');
    expect(await refused(bridgeConf({ vlan: 5000 }))).toContain("vlan is 5000");
    expect(await refused(bridgeConf({ ipMasqBackend: "pf" }))).toContain('ipMasqBackend is "pf"');
    expect(await host.snapshot()).toBe(before);
    expect((await host.cni("ADD", "bridge", bridgeConf({ forceAddress: true }), { id: "a", netns })).exitCode).toBe(0);
    expect(await host.ok(["ip", "-4", "-br", "addr", "show", "br0"])).toMatch(/10\.11\.0\.1\/24 *$/m);
  });

  it("sets MTU, MAC, hairpin, isolation and promiscuity as the config asks", async () => {
    host = await world();
    const conf = bridgeConf({
      mtu: 1400,
      promiscMode: true,
      portIsolation: true,
      runtimeConfig: { mac: "02:00:00:00:00:99" },
    });
    const { interfaces } = await attach("a", conf);
    expect(interfaces[2]?.mac).toBe("02:00:00:00:00:99");
    expect(await host.ok(["ip", "-n", "a", "link", "show", "eth0"])).toMatch(/mtu 1400[\s\S]*02:00:00:00:00:99/);
    expect(await host.ok(["ip", "-d", "link", "show", interfaces[1]?.name ?? ""])).toMatch(/isolated on/);
    expect(await host.ok(["ip", "link", "show", "br0"])).toContain("PROMISC");
    const hairpin = await attach("h", bridgeConf({ name: "net2", bridge: "br2", hairpinMode: true, ipam: {} }));
    expect(await host.ok(["ip", "-d", "link", "show", hairpin.interfaces[1]?.name ?? ""])).toMatch(/hairpin on/);
  });

  it("says what the kernel lacks for VLANs and leaves nothing", async () => {
    host = await world();
    const netns = await host.addNetns("a");
    const before = await host.snapshot();
    const out = await host.cni("ADD", "bridge", bridgeConf({ vlan: 100 }), { id: "a", netns });
    // A kernel that has VLAN filtering does it; this test is about the others.
    if (out.exitCode === 0) return void expect(await host.ok(["bridge", "vlan"])).toContain("100 PVID Egress Untagged");
    expect(out.json).toMatchObject({ msg: expect.stringContaining("this kernel has no bridge VLAN filtering") });
    expect(await host.snapshot()).toBe(before);
  });

  it("lets a container send from its own MAC address only, with macspoofchk", async () => {
    host = await world();
    const conf = bridgeConf({ macspoofchk: true });
    const { interfaces } = await attach("a", conf);
    expect((await host.inNetns("a", ["busybox", "ping", "-c1", "-W1", "10.11.0.1"])).exitCode).toBe(0);
    expect(
      (
        await host.cni(
          "CHECK",
          "bridge",
          { ...conf, prevResult: { cniVersion: "1.0.0", ...(await lastResult(conf)) } },
          { id: "a", netns: "/run/netns/a" },
        )
      ).exitCode,
    ).toBe(0);
    await host.sh("ip -n a link set eth0 address 02:00:00:00:00:66");
    expect((await host.inNetns("a", ["busybox", "ping", "-c1", "-W1", "10.11.0.1"])).exitCode).not.toBe(0);
    await host.cni("DEL", "bridge", conf, { id: "a", netns: "/run/netns/a" });
    expect(await host.ok(["nft", "list", "tables"])).toBe("");
    expect(interfaces.length).toBe(3);
  });
});

/** What ADD answered, put together again from the namespace: enough for CHECK. */
async function lastResult(_conf: object): Promise<object> {
  const veth = (await host.ok(["sh", "-c", "ip -o link | grep -o 'veth[0-9a-f]*'"])).trim();
  return {
    interfaces: [{ name: "br0" }, { name: veth }, { name: "eth0", sandbox: "/run/netns/a" }],
    ips: [{ interface: 2, address: "10.11.0.2/24", gateway: "10.11.0.1" }],
    dns: {},
  };
}
