import { afterEach, describe, expect, it } from "vitest";
import { labelled, tuntap } from "../../plugins/tap/selinux.ts";
import type { Host } from "./host.ts";
import { attach, fault, hostLocal, lan, shown } from "./lan.ts";

let host: Host;
afterEach(() => host.destroy());

function conf(more: object = {}): Record<string, unknown> {
  return { cniVersion: "1.0.0", name: "net1", type: "tap", ipam: hostLocal(), ...more };
}

const PROGRAM = `${import.meta.dirname}/tap-program.ts`;

it("a program behind the tap talks to the container", async () => {
  host = await lan();
  await attach(host, "tap", conf(), { id: "a" });
  const argv = ["ip", "netns", "exec", "a", process.execPath, PROGRAM, "eth0", "10.40.0.99"];
  const program = host.spawn(argv, { env: { BUN_BE_BUN: "1" } });
  await program.stdout.getReader().read();
  const ping = await host.inNetns("a", ["ping", "-c1", "-W2", "10.40.0.99"]);
  expect(ping, ping.stdout).toMatchObject({ exitCode: 0 });
});

describe("the device", () => {
  it("is made as the config says, persistent, up and tagged as ours", async () => {
    host = await lan();
    const wanted = { multiQueue: true, owner: 1000, group: 2000, mtu: 1400, mac: "02:00:00:00:00:01" };
    const result = await attach(host, "tap", conf({ ...wanted, cniVersion: "1.1.0" }), { id: "a" });
    expect(result).toMatchObject({
      interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", mtu: 1400, sandbox: "/run/netns/a" }],
      ips: [{ address: "10.40.0.10/24", interface: 0 }],
    });
    const link = await shown(host, "a", "eth0");
    expect(link).toMatchObject({ mtu: 1400, address: "02:00:00:00:00:01", ifalias: "tsnet net1 a eth0" });
    expect(link.flags).toContain("UP");
    expect(await host.ok(["ip", "-n", "a", "-d", "link", "show", "eth0"])).toMatch(
      /tun type tap pi off vnet_hdr off multi_queue .*persist on user \S+ group \S+/,
    );
    expect(await host.ok(["ip", "netns", "exec", "a", "ip", "tuntap"])).toMatch(
      /eth0: tap multi_queue persist user \S+ group \S+/,
    );
  });

  it("belongs to nobody, has one queue and addresses of both families at once without keys", async () => {
    host = await lan();
    await attach(host, "tap", conf({ ipam: hostLocal(true) }), { id: "a" });
    // No duplicate can be looked for without a carrier: there is nothing to wait for.
    expect(await host.ok(["ip", "-n", "a", "-6", "-o", "addr", "show", "dev", "eth0"])).toMatch(
      /fd40::1\/64 scope global nodad/,
    );
    expect((await host.ok(["ip", "netns", "exec", "a", "ip", "tuntap"])).trim()).toBe("eth0: tap persist");
  });

  it("is a port of a bridge in the container, without addresses", async () => {
    host = await lan();
    const netns = await host.addNetns("a");
    await host.sh("ip -n a link add br0 type bridge; ip -n a link set br0 up");
    const out = await host.cni("ADD", "tap", conf({ ipam: {}, bridge: "br0" }), { id: "a", netns });
    expect(out, out.stdout).toMatchObject({ exitCode: 0 });
    expect(await shown(host, "a", "eth0")).toMatchObject({ master: "br0" });
    const checked = { ...conf({ ipam: {}, bridge: "br0" }), prevResult: out.json };
    expect(await fault(host, "CHECK", "tap", checked)).toBe("");
    await host.ok(["ip", "-n", "a", "link", "set", "eth0", "nomaster"]);
    expect(await fault(host, "CHECK", "tap", checked)).toBe("103 tap eth0 is no port of bridge br0");
  });

  it("has a result in every config version", async () => {
    host = await lan();
    for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
      const id = `v${cniVersion.replaceAll(".", "")}`;
      const result = await attach(host, "tap", conf({ cniVersion }), { id });
      expect(result).toMatchObject(cniVersion < "0.3" ? { cniVersion, ip4: {} } : { interfaces: [{ name: "eth0" }] });
    }
  });
});

describe("an SELinux context", () => {
  it("is refused where there is no SELinux, and nothing is made", async () => {
    host = await lan();
    await host.addNetns("a");
    const said = await fault(host, "ADD", "tap", conf({ selinuxContext: "system_u:system_r:container_t:s0" }));
    // A kernel that has it knows no such context in a test host, or takes it.
    if (!(await host.ok(["cat", "/proc/filesystems"])).includes("selinuxfs"))
      expect(said).toContain(
        "102 failed set socket label: selinuxContext is system_u:system_r:container_t:s0, and this",
      );
    if (said !== "") expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toContain("eth0");
  });

  it("is taken on by the process that makes the device", () => {
    const argv = tuntap({ name: "eth0", multiQueue: true, owner: 0, group: undefined });
    expect(argv.join(" ")).toBe("ip tuntap add mode tap name eth0 multi_queue user 0");
    expect(labelled(argv, "u:r:t:s0")).toEqual([
      ...[
        "nsenter",
        "--net=/proc/self/fd/3",
        "sh",
        "-c",
        'printf %s "$0" >/proc/self/attr/exec && exec "$@"',
        "u:r:t:s0",
      ],
      ...argv,
    ]);
  });
});

it("refuses what cannot be, each by its name, and leaves nothing", async () => {
  host = await lan();
  await host.addNetns("a");
  await host.sh("ip -n a link add x0 type veth");
  const before = await host.snapshot();
  const refused = (more: object) => fault(host, "ADD", "tap", conf(more));
  expect(await refused({ mtu: 70000 })).toContain("7 mtu is 70000, allowed are 68 to 65521");
  expect(await refused({ owner: -1 })).toContain("7 owner is -1");
  expect(await refused({ group: 2 ** 32 - 1 })).toContain("7 group is 4294967295");
  expect(await refused({ owner: "root" })).toContain("6 owner in the network config must be a number");
  expect(await refused({ multiQueue: "yes" })).toContain("6 multiQueue in the network config must be true or false");
  expect(await refused({ mac: "zz" })).toContain("7 invalid MAC address");
  expect(await refused({ bridge: "br9" })).toBe("104 failed to get bridge br9: /run/netns/a has no such link");
  expect(await refused({ bridge: "x0" })).toBe("7 x0 in /run/netns/a exists but is not a bridge");
  expect(await refused({ bridge: "a/b" })).toContain('7 bridge "a/b" is no interface name');
  expect(await refused({ ipam: { type: "none" } })).toContain('failed to find plugin "none"');
  expect(await host.snapshot()).toBe(before);
  expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toMatch(/^eth0/m);
  await host.ok(["ip", "-n", "a", "link", "set", "x0", "name", "eth0"]);
  expect(await refused({})).toContain("100 container interface name (eth0) already exists");
  expect(await fault(host, "DEL", "tap", conf())).toBe("");
  expect(await host.ok(["ip", "-n", "a", "-br", "link"])).toContain("eth0");
});

describe("CHECK", () => {
  const made = (kind: string) => `ip -n a link del eth0; ip netns exec a ip tuntap add ${kind} name eth0`;
  it.each([
    ["nothing", "true", ""],
    ["an unrelated address and link", "ip -n a addr add 10.200.0.1/32 dev eth0; ip -n a link add x0 type veth", ""],
    [
      "the address",
      "ip -n a addr del 10.40.0.10/24 dev eth0",
      "103 eth0 in /run/netns/a lacks the address 10.40.0.10/24",
    ],
    ["the route", "ip -n a route del default", "lacks the route 0.0.0.0/0 via 10.40.0.254"],
    ["the MAC", "ip -n a link set eth0 address 02:00:00:00:00:01", "eth0 has the MAC 02:00:00:00:00:01"],
    ["the MTU", "ip -n a link set eth0 mtu 1300", "eth0 in /run/netns/a has the MTU 1300, wanted 1400"],
    ["the device, set down", "ip -n a link set eth0 down", "eth0 in /run/netns/a is down"],
    ["the device", "ip -n a link del eth0", "interface of a eth0 is gone"],
    ["its kind", "ip -n a link del eth0; ip -n a link add eth0 type veth", "eth0 in /run/netns/a is veth, wanted tun"],
    ["its layer", made("mode tun user 1000 group 2000 multi_queue"), "eth0 is a tun, wanted a tap"],
    ["its queues", made("mode tap user 1000 group 2000"), "tap eth0 has one queue, wanted otherwise: multiQueue"],
    ["its owner", made("mode tap user 1001 group 2000 multi_queue"), "tap eth0 has the owner 1001, wanted 1000"],
    ["its group", made("mode tap user 1000 multi_queue"), "tap eth0 has the group none, wanted 2000"],
  ])("after a change of %s says so, or passes where nothing of ours changed", async (_, script, message) => {
    host = await lan();
    const config = conf({ mtu: 1400, owner: 1000, group: 2000, multiQueue: true });
    const prevResult = await attach(host, "tap", config, { id: "a" });
    await host.sh(script);
    const said = await fault(host, "CHECK", "tap", { ...config, prevResult });
    if (message === "") expect(said).toBe("");
    else expect(said).toContain(message);
  });
});

describe("containers row 8: DEL", () => {
  it.each([
    ["twice", "true", {}],
    ["with the namespace gone", "ip netns del a", {}],
    ["with CNI_NETNS empty", "true", { netns: "" }],
  ] as const)("%s leaves the host as before", async (_, harm, options) => {
    host = await lan();
    const before = await host.snapshot();
    await attach(host, "tap", conf(), { id: "a" });
    await host.sh(harm);
    for (let times = 0; times < 2; times++) expect(await fault(host, "DEL", "tap", conf(), options)).toBe("");
    await host.run(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });
});

it("GC frees the addresses of what is not listed, and STATUS tells that there are no TAP devices", async () => {
  host = await lan();
  const newest = conf({ cniVersion: "1.1.0" });
  await attach(host, "tap", newest, { id: "a" });
  expect(await fault(host, "GC", "tap", { ...newest, "cni.dev/valid-attachments": [] })).toBe("");
  expect(await host.ok(["ls", "/var/lib/cni/networks/net1"])).not.toContain("10.40.0.10");
  expect(await fault(host, "STATUS", "tap", newest)).toBe("");
  await host.sh("mount -t tmpfs tmpfs /dev/net");
  expect(await fault(host, "STATUS", "tap", newest)).toContain("50 no /dev/net/tun: the kernel has no TAP devices");
});
