import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { attach, fault, hostLocal, LAN, lan, shown } from "./lan.ts";
import { ask, serve } from "./packets.ts";

let host: Host;
afterEach(() => host.destroy());

/** m0 of the test host stands for a device: the other end of its wire is the machine `lan`. */
function conf(more: object = {}): Record<string, unknown> {
  return { cniVersion: "1.0.0", name: "net1", type: "host-device", device: "m0", ipam: hostLocal(), ...more };
}

const A = { id: "a", netns: "/run/netns/a" };
const hostLinks = async () =>
  JSON.parse(await host.ok(["ip", "-d", "-j", "link"])) as readonly Record<string, unknown>[];
const UP = expect.arrayContaining(["UP"]);
const onHost = async (name: string) => (await hostLinks()).find((link) => link.ifname === name);

describe("a container with a device of the host", () => {
  it("talks over it, by IPv4 and IPv6", async () => {
    host = await lan();
    await serve(host, "lan", 80, "lan");
    const { ips } = await attach(host, "host-device", conf({ ipam: hostLocal(true) }), { id: "a" });
    const own = (ips ?? []).map(({ address }) => address.split("/")[0]);
    expect(await ask(host, "a", "tcp", LAN[4], 80)).toBe(`lan ${own[0]}`);
    expect(await ask(host, "a", "tcp", LAN[6], 80)).toBe(`lan ${own[1]}`);
  });

  it("has it under the name that CNI_IFNAME says; the alias keeps the name that it had", async () => {
    host = await lan();
    const mac = (await onHost("m0"))?.address;
    const result = await attach(host, "host-device", conf({ cniVersion: "1.1.0" }), { id: "a", ifname: "net1" });
    expect(result).toMatchObject({
      interfaces: [{ name: "net1", mac, mtu: 1500, sandbox: "/run/netns/a" }],
      ips: [{ address: "10.40.0.10/24", interface: 0 }],
    });
    const link = await shown(host, "a", "net1");
    expect(link).toMatchObject({ ifalias: "m0", address: mac });
    expect(link.flags).toContain("UP");
    expect(await onHost("m0")).toBeUndefined();
  });

  it("gets it without addresses where there is no ipam, and a result in every config version", async () => {
    host = await lan();
    await host.addNetns("a");
    for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
      const out = await host.cni("ADD", "host-device", conf({ cniVersion }), A);
      expect(out, out.stdout).toMatchObject({ exitCode: 0, json: { cniVersion } });
      expect(await fault(host, "DEL", "host-device", conf({ cniVersion }))).toBe("");
    }
    const out = await host.cni("ADD", "host-device", conf({ ipam: {} }), A);
    expect(out.json).toMatchObject({ interfaces: [{ name: "eth0", sandbox: "/run/netns/a" }] });
    expect((await shown(host, "a", "eth0")).flags).toContain("UP");
  });
});

describe("the device", () => {
  it("is found by its hardware address", async () => {
    host = await lan();
    const hwaddr = String((await onHost("m0"))?.address).toUpperCase();
    await attach(host, "host-device", conf({ device: "", hwaddr }), { id: "a" });
    expect(await shown(host, "a", "eth0")).toMatchObject({ ifalias: "m0" });
  });

  it("is found by its path below /sys/devices", async () => {
    host = await lan();
    // What /sys shows is the namespace's that mounted it. The first link of the folder counts.
    await host.sh("ip link set m0 down; ip link set m0 name a0; mount -t sysfs sysfs /sys");
    await attach(host, "host-device", conf({ device: "", kernelpath: "/sys/devices/virtual" }), { id: "a" });
    expect(await shown(host, "a", "eth0")).toMatchObject({ ifalias: "a0" });
  });

  it.each([
    ["its place on the PCI bus", { pciBusID: "0000:00:05.0" }, "devices/0000:00:05.0/net/m0"],
    ["its place on the PCI bus, behind virtio", { pciBusID: "0000:00:05.0" }, "devices/0000:00:05.0/virtio3/net/m0"],
    [
      "the runtime's deviceID on that bus",
      { runtimeConfig: { deviceID: "0000:00:05.0" } },
      "devices/0000:00:05.0/net/m0",
    ],
    ["the runtime's deviceID on the auxiliary bus", { runtimeConfig: { deviceID: "sf.4" } }, "auxiliary/sf.4"],
  ])("is found by %s", async (_, keys, path) => {
    host = await lan();
    await buses(path);
    const config = conf({ device: "", ...keys, cniVersion: "1.1.0" });
    const result = await attach(host, "host-device", config, { id: "a" });
    expect(result.interfaces[0]).toMatchObject({
      name: "eth0",
      ...(path.startsWith("dev") ? { pciID: "0000:00:05.0" } : {}),
    });
    expect(await fault(host, "CHECK", "host-device", { ...config, prevResult: result })).toBe("");
    expect(await fault(host, "DEL", "host-device", config)).toBe("");
    expect(await onHost("m0")).toBeDefined();
  });

  it("that a program drives is not moved: the container gets its addresses, and DEL frees them", async () => {
    host = await lan();
    await buses("dpdk");
    const before = await host.snapshot();
    const config = conf({ device: "", pciBusID: "0000:00:05.0", cniVersion: "1.1.0" });
    const result = await attach(host, "host-device", config, { id: "a" });
    expect(result).toMatchObject({
      interfaces: [{ name: "eth0", sandbox: "/run/netns/a", pciID: "0000:00:05.0" }],
      ips: [{ address: "10.40.0.10/24", interface: 0 }],
    });
    expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toContain("eth0");
    expect(await fault(host, "CHECK", "host-device", { ...config, prevResult: result })).toBe("");
    expect(await fault(host, "STATUS", "host-device", config)).toBe("");
    expect(await fault(host, "DEL", "host-device", config)).toBe("");
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });
});

/** Buses of the test's own, with a device that has the link m0, or that a program drives. */
async function buses(path: string): Promise<void> {
  await host.sh(`
    mount -t tmpfs tmpfs /sys/bus; cd /sys/bus; mkdir -p pci/drivers/vfio-pci pci/drivers/virtio-pci auxiliary/devices
    mkdir -p pci/devices/0000:00:05.0; d=vfio-pci
    case ${path} in
      devices/*) mkdir -p pci/${path}; d=virtio-pci;;
      auxiliary/*) mkdir -p auxiliary/devices/sf.4/net/m0;;
    esac
    ln -s ../../drivers/$d pci/devices/0000:00:05.0/driver
  `);
}

it("refuses what cannot be, each by its name, and the device stays as it was", async () => {
  host = await lan();
  await host.addNetns("a");
  await host.sh("ip addr add 10.77.0.1/24 dev m0; ip link set m0 alias uplink");
  const before = await host.snapshot();
  const refused = (more: object) => fault(host, "ADD", "host-device", conf(more));
  const other = (more: object) => refused({ device: "", ...more });
  expect(await other({})).toBe('7 specify either "device", "hwaddr", "kernelpath" or "pciBusID"');
  expect(await refused({ device: "m9" })).toBe("104 failed to find host device: the host has no link m9");
  expect(await refused({ device: "a/b" })).toContain('7 device "a/b" is no interface name');
  expect(await refused({ device: 5 })).toContain("6 device in the network config must be a string");
  expect(await refused({ device: "lo" })).toContain("failed to move lo into /run/netns/a as eth0");
  expect(await other({ hwaddr: "02:00" })).toContain("7 invalid MAC address");
  expect(await other({ hwaddr: "02:00:00:00:99:99" })).toContain("104 failed to find host device: no link has the");
  expect(await other({ kernelpath: "/etc" })).toContain('7 kernel device path "/etc" must be absolute and begin with');
  expect(await other({ kernelpath: "/sys/devices/../../etc" })).toContain("7 kernel device path");
  expect(await other({ kernelpath: "/sys/devices/nothing" })).toContain(
    "104 failed to find host device: failed to read",
  );
  expect(await other({ pciBusID: "../../etc" })).toContain('7 pciBusID "../../etc" is no name on a bus');
  expect(await other({ pciBusID: "0000:ff:1f.7" })).toContain("104 error with host device: ");
  expect(await other({ runtimeConfig: { deviceID: "nope" } })).toContain("104 runtime config DeviceID nope not found");
  expect(await refused({ ipam: { type: "none" } })).toContain('failed to find plugin "none"');
  expect(await onHost("m0")).toMatchObject({ ifalias: "uplink", flags: UP });
  expect(await host.run(["ip", "-n", "a", "link", "show", "eth0"])).toMatchObject({ exitCode: 1 });
  // The kernel takes the addresses of a link that it moves, also of one that comes back.
  await host.run(["ip", "addr", "add", "10.77.0.1/24", "dev", "m0"]);
  expect(await host.snapshot()).toBe(before);
});

it("over an existing interface fails, and the DEL that follows leaves that be", async () => {
  host = await lan();
  await host.addNetns("a");
  await host.sh("ip link add eth0 netns a type veth peer name v1; ip -n a link set eth0 alias 'tsnet net1 a eth0'");
  const before = await host.snapshot();
  expect(await fault(host, "ADD", "host-device", conf())).toContain(
    "100 container interface name (eth0) already exists",
  );
  expect(await fault(host, "DEL", "host-device", conf())).toBe("");
  expect(await host.snapshot()).toBe(before);
  expect(await shown(host, "a", "eth0")).toMatchObject({ ifalias: "tsnet net1 a eth0" });
});

it("of one network stays where the ADD of another by the same interface failed, whose DEL follows", async () => {
  host = await lan();
  await attach(host, "host-device", conf(), { id: "a" });
  const hwaddr = String((await onHost("up1"))?.address);
  for (const other of [{ device: "m0" }, { device: "", hwaddr }]) {
    const second = conf({ name: "net2", ipam: {}, ...other });
    expect(await fault(host, "ADD", "host-device", second)).not.toBe("");
    expect(await fault(host, "DEL", "host-device", second)).toBe("");
    expect(await shown(host, "a", "eth0")).toMatchObject({ ifalias: "m0" });
  }
});

it("asked for ten times at once is moved once, and comes back as it was", async () => {
  host = await lan();
  await host.addNetns("a");
  const before = await host.snapshot();
  const said = await Promise.all(Array.from({ length: 10 }, () => fault(host, "ADD", "host-device", conf())));
  const exists = expect.stringContaining("100 container interface name (eth0) already exists");
  expect(said.toSorted()).toEqual(["", ...Array.from({ length: 9 }, () => exists)]);
  expect(await host.ok(["ls", "/var/lib/cni/networks/net1"])).toContain("10.40.0.10");
  expect(await fault(host, "DEL", "host-device", conf())).toBe("");
  expect(await host.snapshot()).toBe(before);
});

it("refuses lo, and leaves the container's own alone", async () => {
  host = await lan();
  await host.addNetns("a");
  expect(await fault(host, "ADD", "host-device", conf({ device: "lo" }))).toMatch(
    /^7 failed to move lo into \/run\/netns\/a as eth0: [^:]+: The interface netns is immutable \(EINVAL\)$/,
  );
  expect(await shown(host, "a", "lo")).toMatchObject({ flags: expect.arrayContaining(["UP"]) });
});

describe("CHECK", () => {
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
    ["the MTU", "ip -n a link set eth0 mtu 1300", "eth0 in /run/netns/a has the MTU 1300, wanted 1500"],
    ["the alias", "ip -n a link set eth0 alias other", "103 eth0 has the alias other, wanted m0"],
    ["the device, set down", "ip -n a link set eth0 down", "eth0 in /run/netns/a is down"],
    ["the device's name", "ip -n a link set eth0 down; ip -n a link set eth0 name x0", "interface of a eth0 is gone"],
  ])("after a change of %s says so, or passes where nothing of ours changed", async (_, script, message) => {
    host = await lan();
    const config = conf({ cniVersion: "1.1.0" });
    const prevResult = await attach(host, "host-device", config, { id: "a" });
    await host.sh(script);
    const said = await fault(host, "CHECK", "host-device", { ...config, prevResult });
    if (message === "") expect(said).toBe("");
    else expect(said).toContain(message);
  });
});

describe("containers row 8: DEL", () => {
  it.each([
    ["twice", "true", {}],
    ["with CNI_NETNS empty", "true", { netns: "" }],
    ["of a device that lost its alias", "ip -n a link set eth0 alias ''", {}],
    ["with a link of the device's name in the container", "ip -n a link add m0 type bridge", {}],
    ["with the config naming another device", "true", { device: "other" }],
  ])(
    "%s leaves the host as before, the device with its name, its alias and up",
    async (_, harm, { device, ...options }: Record<string, string>) => {
      host = await lan();
      await host.ok(["ip", "link", "set", "m0", "alias", "uplink"]);
      const before = await host.snapshot();
      await attach(host, "host-device", conf(), { id: "a" });
      await host.sh(harm);
      for (let times = 0; times < 2; times++)
        expect(await fault(host, "DEL", "host-device", conf(device === undefined ? {} : { device }), options)).toBe("");
      expect(await onHost("m0")).toMatchObject({ ifalias: "uplink" });
      await host.run(["ip", "netns", "del", "a"]);
      expect(await host.snapshot()).toBe(before);
    },
  );

  it("with the namespace gone succeeds: what is virtual went with it", async () => {
    host = await lan();
    await attach(host, "host-device", conf(), { id: "a" });
    await host.ok(["ip", "netns", "del", "a"]);
    for (let times = 0; times < 2; times++) expect(await fault(host, "DEL", "host-device", conf())).toBe("");
    expect(
      await host.ok([
        "sh",
        "-c",
        "find /run/tsnet/host-device /var/lib/cni/networks -type f | grep -v -e lock -e last_ || true",
      ]),
    ).toBe("");
  });

  it.each([
    ["DEL without CNI_NETNS", () => fault(host, "DEL", "host-device", conf(), { netns: "" })],
    ["GC", () => fault(host, "GC", "host-device", conf({ cniVersion: "1.1.0", "cni.dev/valid-attachments": [] }))],
  ])("%s leaves a stranger's interface alone, whose namespace has the path by now", async (_, collect) => {
    host = await lan();
    await attach(host, "host-device", conf(), { id: "a" });
    await host.sh("ip -n a link set eth0 name m0 netns 1; ip netns del a; ip netns add a");
    await host.sh("ip link del m0; ip link add eth0 netns a type bridge; ip -n a link set eth0 up");
    expect(await collect()).toBe("");
    const stranger = await shown(host, "a", "eth0");
    expect(stranger.flags).toContain("UP");
    expect(await onHost("m0")).toBeUndefined();
  });

  it("gives a device its name back that the kernel returned under the container's, as it does with hardware", async () => {
    host = await lan();
    await attach(host, "host-device", conf(), { id: "a" });
    // What default_device_exit_net of the kernel does with a device of hardware as a namespace ends.
    await host.sh(`ip -n a link set eth0 netns 1; ip netns del a`);
    expect(await onHost("eth0")).toMatchObject({ ifalias: "m0" });
    expect(await fault(host, "DEL", "host-device", conf())).toBe("");
    const link = await onHost("m0");
    expect(link).toMatchObject({ flags: UP });
    expect(link).not.toHaveProperty("ifalias");
  });

  it("says that the host has another link of that name by now, and works once that is gone", async () => {
    host = await lan();
    await attach(host, "host-device", conf(), { id: "a" });
    await host.ok(["ip", "link", "add", "m0", "type", "bridge"]);
    const said = await fault(host, "DEL", "host-device", conf());
    expect(said).toContain("100 failed to move eth0 out of its container as m0: there is another link of that name");
    const link = await shown(host, "a", "eth0");
    expect(link).toMatchObject({ ifalias: "m0" });
    expect(link.flags).toContain("UP");
    await host.ok(["ip", "link", "del", "m0"]);
    expect(await fault(host, "DEL", "host-device", conf())).toBe("");
    expect(await onHost("m0")).toMatchObject({ flags: UP });
  });

  it("takes a macvlan as a device, too", async () => {
    host = await lan();
    await host.ok(["ip", "link", "add", "link", "up0", "name", "mv0", "type", "macvlan"]);
    const before = await host.snapshot();
    await attach(host, "host-device", conf({ device: "mv0" }), { id: "a" });
    expect(await shown(host, "a", "eth0")).toMatchObject({ ifalias: "mv0", linkinfo: { info_kind: "macvlan" } });
    expect(await fault(host, "DEL", "host-device", conf({ device: "mv0" }))).toBe("");
    await host.run(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });
});

it("GC gives back what is not listed, of its own network; STATUS tells that the device is missing", async () => {
  host = await lan();
  const newest = conf({ cniVersion: "1.1.0" });
  const second = { ...newest, name: "net2", device: "up1", ipam: {} };
  await attach(host, "host-device", newest, { id: "a" });
  await attach(host, "host-device", second, { id: "b" });
  expect(await fault(host, "STATUS", "host-device", newest)).toBe("");
  expect(await fault(host, "GC", "host-device", newest)).toBe("");
  const keep = { "cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }] };
  expect(await fault(host, "GC", "host-device", { ...newest, ...keep })).toBe("");
  expect(await onHost("m0")).toBeUndefined();
  expect(await fault(host, "GC", "host-device", { ...newest, "cni.dev/valid-attachments": [] })).toBe("");
  expect([await onHost("m0"), await onHost("up1")]).toMatchObject([{ flags: UP }, undefined]);
  expect(await host.ok(["ls", "/var/lib/cni/networks/net1"])).not.toContain("10.40.0.10");
  await host.ok(["ip", "link", "del", "m0"]);
  expect(await fault(host, "STATUS", "host-device", newest)).toContain(
    "50 failed to find host device: the host has no",
  );
});
