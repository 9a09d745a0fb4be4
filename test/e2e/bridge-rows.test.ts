import { afterEach, describe, expect, it } from "vitest";
import { referencePrograms } from "../cluster/build.ts";
import { type Host, PLUGINS } from "./host.ts";
import { bridgeConf, world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

async function attach(id: string, conf: object): Promise<Record<string, unknown>> {
  const netns = await host.addNetns(id);
  const out = await host.cni("ADD", "bridge", conf, { id, netns });
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
  return out.json as Record<string, unknown>;
}

const netnsOf = (id: string): { id: string; netns: string } => ({ id, netns: `/run/netns/${id}` });

async function check(id: string, conf: object, prevResult: object): Promise<string> {
  const out = await host.cni("CHECK", "bridge", { ...conf, prevResult }, netnsOf(id));
  return out.exitCode === 0 ? "" : (out.json as { msg: string }).msg;
}

describe("CHECK", () => {
  it.each([
    ["nothing", "true", ""],
    [
      "an unrelated address, route and link",
      "ip -n a addr add 10.200.0.1/32 dev eth0; ip -n a route add 10.201.0.0/16 dev eth0; ip link add x0 type veth",
      "",
    ],
    ["the address", "ip -n a addr del 10.11.0.2/24 dev eth0", "lacks the address 10.11.0.2/24"],
    ["the default route", "ip -n a route del default", "lacks the route 0.0.0.0/0 via 10.11.0.1"],
    ["the container's MAC", "ip -n a link set eth0 address 02:00:00:00:00:01", "eth0 has the MAC 02:00:00:00:00:01"],
    ["the container's interface", "ip -n a link del eth0", "eth0 is gone"],
    [
      "the port's master",
      "ip link set $(ip -o link | grep -o 'veth[0-9a-f]*' | head -1) nomaster",
      "is no port of bridge br0",
    ],
    ["the port, set down", "ip link set $(ip -o link | grep -o 'veth[0-9a-f]*' | head -1) down", "is down, wanted up"],
    ["the gateway's address", "ip addr del 10.11.0.1/24 dev br0", "br0 lacks the gateway address 10.11.0.1"],
    ["the bridge", "ip link del br0", "br0 is gone"],
    ["the bridge, set down", "ip link set br0 down", "bridge br0 is down"],
    ["the reservation", "rm /var/lib/cni/networks/net1/10.11.0.2", ""],
  ])("after a change of %s says so, or passes where nothing of ours changed", async (what, script, message) => {
    host = await world();
    const conf = bridgeConf();
    const result = await attach("a", conf);
    await host.sh(script);
    const said = await check("a", conf, result);
    if (what === "the reservation") expect(said).not.toBe("");
    else if (message === "") expect(said).toBe("");
    else expect(said).toContain(message);
  });

  it("sees that hairpin and isolation were turned off", async () => {
    host = await world();
    const conf = bridgeConf({ hairpinMode: true, portIsolation: true });
    const result = await attach("a", conf);
    const veth = (await host.sh("ip -o link | grep -o 'veth[0-9a-f]*' | head -1")).trim();
    expect(await check("a", conf, result)).toBe("");
    await host.ok(["bridge", "link", "set", "dev", veth, "isolated", "off"]);
    expect(await check("a", conf, result)).toContain("is not isolated, wanted portIsolation");
    await host.ok(["bridge", "link", "set", "dev", veth, "hairpin", "off"]);
    expect(await check("a", conf, result)).toContain("has hairpin off, wanted hairpinMode");
  });

  it("cni row 22: sees that forwarding was turned off under us", async () => {
    host = await world();
    const result = await attach("a", bridgeConf());
    await host.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
    expect(await check("a", bridgeConf(), result)).toContain("net.ipv4.ip_forward is 0, wanted 1");
  });

  it.each(["iptables", "nftables"])("names the missing masquerade of %s", async (ipMasqBackend) => {
    host = await world();
    const conf = bridgeConf({ ipMasq: true, ipMasqBackend });
    const result = await attach("a", conf);
    expect(await check("a", conf, result)).toBe("");
    await host.sh("nft flush ruleset; iptables -t nat -F; ip6tables -t nat -F");
    expect(await check("a", conf, result)).toMatch(/masquerade|missing|gone/i);
  });
});

describe("GC", () => {
  it.each(["iptables", "nftables"])(
    "removes what is ours and not in the list, of the named network only, on %s",
    async (ipMasqBackend) => {
      host = await world();
      const one = bridgeConf({ cniVersion: "1.1.0", ipMasq: true, ipMasqBackend });
      const two = bridgeConf({
        cniVersion: "1.1.0",
        name: "net2",
        bridge: "br2",
        ipMasq: true,
        ipMasqBackend,
        ipam: { type: "host-local", ranges: [[{ subnet: "10.12.0.0/24" }]] },
      });
      await attach("keep", one);
      await attach("other", two);
      const before = await host.snapshot();
      await attach("stale", one);
      await attach("staler", one);
      await host.ok(["ip", "netns", "del", "staler"]);
      const list = (valid: readonly object[]) => ({ ...one, "cni.dev/valid-attachments": valid });
      const out = await host.cni("GC", "bridge", list([{ containerID: "keep", ifname: "eth0" }]));
      expect(out, out.stdout).toMatchObject({ exitCode: 0 });
      await host.ok(["ip", "netns", "del", "stale"]);
      expect(await host.snapshot()).toBe(before);
    },
  );

  it("does nothing without a list, and collects everything with an empty one", async () => {
    host = await world();
    const conf = bridgeConf({ cniVersion: "1.1.0" });
    await attach("first", conf);
    await host.cni("DEL", "bridge", conf, netnsOf("first"));
    await host.ok(["ip", "netns", "del", "first"]);
    const empty = await host.snapshot();
    await attach("a", conf);
    const full = await host.snapshot();
    expect((await host.cni("GC", "bridge", conf)).exitCode).toBe(0);
    expect(await host.snapshot()).toBe(full);
    expect((await host.cni("GC", "bridge", { ...conf, "cni.dev/valid-attachments": [] })).exitCode).toBe(0);
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(empty);
  });
});

describe("STATUS", () => {
  it("cni row 3: is code 50 once the pool is exhausted, and ADD says who holds what", async () => {
    host = await world();
    const conf = bridgeConf({
      cniVersion: "1.1.0",
      ipam: { type: "host-local", ranges: [[{ subnet: "10.13.0.0/30" }]] },
    });
    expect((await host.cni("STATUS", "bridge", conf)).exitCode).toBe(0);
    await attach("holder", conf);
    const status = await host.cni("STATUS", "bridge", conf);
    expect(status.json).toMatchObject({ code: 50 });
    const netns = await host.addNetns("late");
    const late = await host.cni("ADD", "bridge", conf, { id: "late", netns });
    expect(late.json).toMatchObject({
      msg: expect.stringContaining("no IP addresses available in range set: 10.13.0.1-10.13.0.2"),
    });
    expect(JSON.stringify(late.json)).toContain("holder");
  });
});

describe("STATUS of a bridge that masquerades", () => {
  it.each(["iptables", "nftables"])("is code 50 where the program of %s is missing", async (ipMasqBackend) => {
    host = await world();
    const conf = bridgeConf({ cniVersion: "1.1.0", ipMasq: true, ipMasqBackend });
    expect((await host.cni("STATUS", "bridge", conf)).exitCode).toBe(0);
    const { stdout } = await host.run(["env", "PATH=/nowhere", `${PLUGINS}/bridge`], {
      stdin: JSON.stringify(conf),
      env: { CNI_COMMAND: "STATUS", CNI_PATH: PLUGINS },
    });
    expect(JSON.parse(stdout)).toMatchObject({ code: 50, msg: expect.stringMatching(/nft|iptables/) });
  });
});

describe("the host", () => {
  it("cni row 4 and 8: is as before when DEL comes after namespace, result and chains are gone", async () => {
    host = await world();
    const conf = bridgeConf({ ipMasq: true });
    await attach("first", conf);
    await host.cni("DEL", "bridge", conf, netnsOf("first"));
    await host.ok(["ip", "netns", "del", "first"]);
    const before = await host.snapshot();
    await attach("a", conf);
    await host.sh("ip netns del a; iptables -t nat -F; iptables -t nat -X; nft flush ruleset");
    expect((await host.cni("DEL", "bridge", conf, { id: "a", netns: "" })).exitCode).toBe(0);
    expect(await host.snapshot()).toBe(before);
  });

  it("cni row 13: is asked by a container over IPv6, and by the world beyond, without waiting for the bridge's own addresses", async () => {
    host = await world();
    await attach("a", bridgeConf());
    expect(await host.ok(["ip", "-6", "addr", "show", "dev", "br0"])).not.toContain("tentative");
  });

  it("cni row 13: gives IPv6 addresses that are usable at once, without duplicate address detection", async () => {
    host = await world();
    await attach("a", bridgeConf());
    expect(await host.ok(["ip", "-n", "a", "-6", "addr", "show", "eth0", "scope", "global"])).not.toContain(
      "tentative",
    );
    expect((await host.inNetns("a", ["busybox", "ping", "-6", "-c1", "-W1", "fd11::1"])).exitCode).toBe(0);
  });

  it("cni row 23: loosens strict reverse path filtering on its own bridge alone", async () => {
    host = await world();
    await host.sh("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
    await attach("a", bridgeConf());
    expect(
      await host.sh(
        "cat /proc/sys/net/ipv4/conf/br0/rp_filter /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/conf/up0/rp_filter",
      ),
    ).toBe("2\n1\n0\n");
  });

  it("cni row 24: forgets the former holder of an address, and so do its neighbours", async () => {
    host = await world();
    const conf = bridgeConf({
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.11.0.0/24", rangeStart: "10.11.0.2", rangeEnd: "10.11.0.3" }]],
      },
    });
    await attach("peer", conf);
    await attach("old", conf);
    const ping = (netns: string | undefined) =>
      host.run([
        ...(netns === undefined ? [] : ["ip", "netns", "exec", netns]),
        "busybox",
        "ping",
        "-c1",
        "-W1",
        "10.11.0.3",
      ]);
    expect((await ping("peer")).exitCode).toBe(0);
    expect((await ping(undefined)).exitCode).toBe(0);
    await host.cni("DEL", "bridge", conf, netnsOf("old"));
    await attach("new", conf);
    expect(await host.ok(["ip", "-n", "new", "-4", "-br", "addr"])).toContain("10.11.0.3/24");
    expect((await ping("peer")).exitCode).toBe(0);
    expect((await ping(undefined)).exitCode).toBe(0);
  });

  it("containers row 2: keeps its own router advertisements when IPv6 forwarding is turned on", async () => {
    host = await world();
    const read = (name: string) => host.sh(`cat /proc/sys/net/ipv6/conf/${name}/accept_ra`);
    expect(await read("up0")).toBe("1\n");
    await attach("a", bridgeConf());
    expect(await read("up0")).toBe("2\n");
    expect(await read("br0")).toBe("0\n");
    expect(await host.sh("cat /proc/sys/net/ipv6/conf/all/forwarding")).toBe("1\n");
  });

  it("containers row 10: says code 11 with bridge and limit when the bridge is full, before an address is taken", async () => {
    host = await world();
    await attach("first", bridgeConf());
    const links = Array.from({ length: 1022 }, (_, i) => `link add p${i} master br0 type veth peer name q${i}`).join(
      "\n",
    );
    await host.ok(["ip", "-batch", "-"], { stdin: `${links}\n` });
    const netns = await host.addNetns("late");
    const out = await host.cni("ADD", "bridge", bridgeConf(), { id: "late", netns });
    expect(out.json).toMatchObject({ code: 11, msg: expect.stringMatching(/br0.*1023 ports/) });
    expect(await host.sh("grep -l late -r /var/lib/cni || true")).toBe("");
  });

  it("containers row 32: DEL of ours removes what the reference's ADD made", async () => {
    host = await world();
    const { directory: path } = await referencePrograms();
    for (const ipMasqBackend of ["iptables", "nftables"]) {
      const conf = bridgeConf({
        ipMasq: true,
        ipMasqBackend,
        ipam: { type: "host-local", ranges: [[{ subnet: "10.11.0.0/24" }]] },
      });
      const first = await host.addNetns(`f${ipMasqBackend}`);
      await host.cni("ADD", "bridge", conf, { id: "first", netns: first });
      await host.cni("DEL", "bridge", conf, { id: "first", netns: first });
      const netns = await host.addNetns(`n${ipMasqBackend}`);
      const before = await host.snapshot();
      const added = await host.cni("ADD", "bridge", conf, { id: "theirs", netns, path });
      expect(added, added.stdout).toMatchObject({ exitCode: 0 });
      const out = await host.cni("DEL", "bridge", { ...conf, prevResult: added.json }, { id: "theirs", netns });
      expect(out, out.stdout).toMatchObject({ exitCode: 0 });
      expect(await host.snapshot()).toBe(before);
    }
  });
});
