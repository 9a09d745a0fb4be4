import { afterEach, beforeEach, expect, it } from "vitest";
import type { OpenFabric } from "../../../overlay/kernel/open.ts";
import { FabricHost, lease, repairsOf, specOf, VXLAN } from "./fixture.ts";

let there: FabricHost;
let fabric: OpenFabric;

beforeEach(async () => {
  there = await FabricHost.create();
  fabric = there.open();
});

afterEach(async () => {
  fabric.close();
  await there.destroy();
});

it("makes the device and what two peers need, of both families", async () => {
  const families = [4, 6] as const;
  fabric.configure(specOf(there.underlay, { own: lease(1, { families }) }));
  const report = fabric.replace([lease(2, { families }), lease(3)]);
  expect(report).toEqual({ repairs: [], failures: new Map() });
  expect(fabric.devices).toEqual({ 4: "tsnet.1", 6: "tsnet-v6.1" });
  expect(fabric.mtu).toBe(1430);
  expect(await there.entries()).toEqual([
    "inet 10.100.1.0/32",
    "10.100.2.0/24 via 10.100.2.0 dev tsnet.1 proto 116 onlink",
    "10.100.3.0/24 via 10.100.3.0 dev tsnet.1 proto 116 onlink",
    "fd00:244:0:2::/64 via fd00:244:0:2:: dev tsnet-v6.1 proto 116 metric 1024 onlink pref medium",
    "10.100.2.0 lladdr 0a:00:00:00:00:02 PERMANENT",
    "10.100.3.0 lladdr 0a:00:00:00:00:03 PERMANENT",
    "0a:00:00:00:00:02 dst 192.0.2.2 self permanent",
    "0a:00:00:00:00:03 dst 192.0.2.3 self permanent",
  ]);
  const device = await there.sh("ip -d link show tsnet.1; ip -d link show tsnet-v6.1");
  expect(device).toMatch(
    /tsnet\.1: .*UP.* mtu 1450[\s\S]*0a:00:00:00:00:01[\s\S]*id 1 local 192.0.2.1 dev eth0 .*dstport 8472 .*nolearning/,
  );
  expect(device).toMatch(/tsnet-v6\.1: .*UP.* mtu 1430[\s\S]*id 1 local fd50::1 dev eth0 .*nolearning/);
  expect(fabric.way("h2")).toEqual({
    4: { kind: "vxlan", device: "tsnet.1" },
    6: { kind: "vxlan", device: "tsnet-v6.1" },
  });
  // Its own changes, told by the kernel, are no damage.
  expect(fabric.poll()).toEqual({ repairs: [], failures: new Map(), underlayChanged: false });
  expect(fabric.compare()).toEqual({ repairs: [], failures: new Map() });
});

it("a peer more, a changed one and one that leaves cost their own entries alone", async () => {
  fabric.configure(specOf(there.underlay));
  fabric.replace([lease(2), lease(3)]);
  fabric.upsert(lease(4));
  fabric.upsert(lease(3, { address: "192.0.2.33", mac: "0a:00:00:00:00:33" }));
  fabric.upsert(lease(2, { subnet: "10.100.22.0/24" }));
  fabric.remove("h4");
  fabric.remove("nobody");
  expect(await there.entries()).toEqual([
    "inet 10.100.1.0/32",
    "10.100.3.0/24 via 10.100.3.0 dev tsnet.1 proto 116 onlink",
    "10.100.22.0/24 via 10.100.22.0 dev tsnet.1 proto 116 onlink",
    "10.100.22.0 lladdr 0a:00:00:00:00:02 PERMANENT",
    "10.100.3.0 lladdr 0a:00:00:00:00:33 PERMANENT",
    "0a:00:00:00:00:02 dst 192.0.2.2 self permanent",
    "0a:00:00:00:00:33 dst 192.0.2.33 self permanent",
  ]);
  expect(repairsOf(fabric.poll())).toEqual([]);
  expect(repairsOf(fabric.compare())).toEqual([]);
});

it("takes no network of this host itself away for a peer that has the same, but for the containers' bridge", async () => {
  await there.sh(`
    ip link add docker0 type bridge; ip address add 10.100.3.1/24 dev docker0; ip link set docker0 up
    ip link add cni0 type bridge; ip address add 10.100.4.1/24 dev cni0; ip link set cni0 up
    ip route add 10.100.5.0/24 via 192.0.2.77`);
  fabric.configure({ ...specOf(there.underlay), bridge: "cni0" });
  const why = (net: string) => `${net} is a network that this host itself is on, by`;
  const failures = new Map([["h3", `${why("10.100.3.0/24")} docker0`]]);
  expect(fabric.replace([2, 3, 4, 5].map((n) => lease(n)))).toEqual({ repairs: [], failures });
  expect(fabric.compare()).toEqual({ repairs: [], failures });
  const route = (n: number) =>
    there.sh(`ip -o route show 10.100.${n}.0/24`).then((text) => text.split(" ").slice(1, 5).join(" "));
  expect(await route(3)).toMatch(/^dev docker0/);
  expect(await route(4)).toBe("via 10.100.4.0 dev tsnet.1");
  expect(await route(5)).toBe("via 10.100.5.0 dev tsnet.1");
  const own = fabric.upsert(lease(2, { subnet: "192.0.2.0/24" }));
  expect(own.failures).toEqual(new Map([["h2", `${why("192.0.2.0/24")} eth0`]]));
  fabric.remove("h2");
  fabric.remove("h3");
  expect(await there.sh("ip -o route")).toMatch(/10.100.3.0\/24 dev docker0[\s\S]*192.0.2.0\/24 dev eth0/);
  fabric.upsert(lease(3, { subnet: "10.100.33.0/24" }));
  expect(fabric.compare()).toEqual({ repairs: [], failures: new Map() });
});

it("a restart adopts all that is there, and takes away what peers have left who went meanwhile", async () => {
  fabric.configure(specOf(there.underlay));
  fabric.replace([lease(2), lease(3)]);
  const device = await there.sh("ip -o link show tsnet.1");
  fabric.close();
  fabric = there.open();
  expect(fabric.adoptable(VXLAN)).toEqual({ 4: { name: "tsnet.1", mac: "0a:00:00:00:00:01" } });
  expect(repairsOf(fabric.configure(specOf(there.underlay)))).toEqual([]);
  // Nobody is gone before it is known who is there.
  expect(await there.entries()).toHaveLength(7);
  expect(repairsOf(fabric.replace([lease(3)]))).toEqual([
    "fdb superfluous: 0a:00:00:00:00:02 dst 192.0.2.2 dev tsnet.1",
    "neighbour superfluous: 10.100.2.0 lladdr 0a:00:00:00:00:02 dev tsnet.1",
    "route superfluous: 10.100.2.0/24 via 10.100.2.0 dev tsnet.1",
  ]);
  expect(await there.sh("ip -o link show tsnet.1")).toBe(device);
});

it("flannel's device is adopted under its name, with its MAC, and never goes down", async () => {
  await there.sh(`
    ip link add flannel.1 address 16:00:00:00:00:01 type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning
    ip address add 10.100.1.0/32 dev flannel.1; ip link set flannel.1 up
    ip route add 10.100.2.0/24 via 10.100.2.0 dev flannel.1 onlink
    ip neighbour add 10.100.2.0 lladdr 0a:00:00:00:00:02 dev flannel.1 nud permanent
    bridge fdb add 0a:00:00:00:00:02 dev flannel.1 dst 192.0.2.2 self permanent`);
  const index = await there.indexOf("flannel.1");
  fabric.close();
  fabric = there.open();
  expect(fabric.adoptable(VXLAN)).toEqual({ 4: { name: "flannel.1", mac: "16:00:00:00:00:01" } });
  const own = lease(1, { mac: "16:00:00:00:00:01" });
  fabric.configure(specOf(there.underlay, { own }));
  fabric.replace([lease(2), lease(3)]);
  expect(fabric.devices).toEqual({ 4: "flannel.1" });
  expect(await there.indexOf("flannel.1")).toBe(index);
  expect(await there.entries("flannel.1")).toEqual([
    "inet 10.100.1.0/32",
    "10.100.2.0/24 via 10.100.2.0 dev flannel.1 proto 116 onlink",
    "10.100.3.0/24 via 10.100.3.0 dev flannel.1 proto 116 onlink",
    "10.100.2.0 lladdr 0a:00:00:00:00:02 PERMANENT",
    "10.100.3.0 lladdr 0a:00:00:00:00:03 PERMANENT",
    "0a:00:00:00:00:02 dst 192.0.2.2 self permanent",
    "0a:00:00:00:00:03 dst 192.0.2.3 self permanent",
  ]);
  expect(there.log.lines).toEqual([]);
});

it("what can be changed in place keeps the device and its entries; what cannot makes it anew, and the log says why", async () => {
  await there.sh("ip address add 192.0.2.11/24 dev eth0");
  fabric.configure(specOf(there.underlay));
  fabric.replace([lease(2)]);
  const index = await there.indexOf("tsnet.1");
  await there.sh("ip link set eth0 mtu 1400");
  fabric.configure(
    specOf(there.underlay, {
      own: lease(1, { address: "192.0.2.11", mac: "0a:00:00:00:00:99" }),
      backend: { ...VXLAN, learning: true },
    }),
  );
  expect(await there.indexOf("tsnet.1")).toBe(index);
  const link = await there.sh("ip -d link show tsnet.1");
  expect(link).toMatch(/mtu 1350[\s\S]*0a:00:00:00:00:99[\s\S]*local 192.0.2.11 dev eth0/);
  expect(link).not.toContain("nolearning");
  expect(await there.entries()).toHaveLength(4);
  expect(there.log.lines).toEqual([]);
  fabric.configure(specOf(there.underlay, { backend: { ...VXLAN, port: 4789 } }));
  expect(await there.sh("ip -d link show tsnet.1")).toContain("dstport 4789");
  expect(await there.entries()).toHaveLength(4);
  expect(there.log.lines).toEqual(["warn a VXLAN device is made anew tsnet.1 its UDP port is 8472, wanted 4789"]);
});

it("a VNI and port that another device has are refused with its name", async () => {
  await there.sh("ip link add theirs type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472");
  expect(() => fabric.configure(specOf(there.underlay))).toThrow(
    "VNI 1 on port 8472 is that of theirs: delete it (ip link delete theirs), or give the network another VNI",
  );
  await there.sh("ip link delete theirs; ip link add tsnet.1 type bridge");
  expect(() => fabric.configure(specOf(there.underlay))).toThrow(
    "tsnet.1 is no VXLAN device but bridge: rename or delete it",
  );
});

it("packets find a VXLAN made by hand at the other end, by both families, also after our address has changed", async () => {
  // The other end's: "own" is the address that it sends to us at.
  const other = (own: string, own6: string) => `
    ip -n wire address replace 192.0.2.2/24 dev eth0; ip -n wire address replace fd50::2/64 dev eth0 nodad
    ip -n wire link del vx4 2>/dev/null || true; ip -n wire link del vx6 2>/dev/null || true
    ip -n wire link add vx4 address 0a:00:00:00:00:02 type vxlan id 1 dev eth0 local 192.0.2.2 dstport 8472 nolearning
    ip -n wire link add vx6 address 0a:00:00:00:00:02 type vxlan id 1 dev eth0 local fd50::2 dstport 8472 nolearning
    ip -n wire address add 10.100.2.0/32 dev vx4; ip -n wire address add fd00:244:0:2::/128 dev vx6 nodad
    ip -n wire link set vx4 up; ip -n wire link set vx6 up
    ip -n wire neighbour add 10.100.1.0 lladdr 0a:00:00:00:00:01 dev vx4
    ip -n wire neighbour add fd00:244:0:1:: lladdr 0a:00:00:00:00:01 dev vx6
    bridge -n wire fdb add 0a:00:00:00:00:01 dev vx4 dst ${own}
    bridge -n wire fdb add 0a:00:00:00:00:01 dev vx6 dst ${own6}
    ip -n wire route add 10.100.1.0/24 via 10.100.1.0 dev vx4 onlink
    ip -n wire -6 route add fd00:244:0:1::/64 via fd00:244:0:1:: dev vx6 onlink`;
  const ping = () =>
    there.sh("ping -c 2 -i 0.1 -W 1 -M do -s 1422 10.100.2.0; ping -c 2 -i 0.1 -W 1 -M do -s 1382 fd00:244:0:2::");
  const families = [4, 6] as const;
  await there.sh(other("192.0.2.1", "fd50::1"));
  fabric.configure(specOf(there.underlay, { own: lease(1, { families }) }));
  fabric.replace([lease(2, { families })]);
  expect(await ping()).toMatch(/ 0% packet loss[\s\S]* 0% packet loss/);
  const index = await there.indexOf("tsnet.1");
  await there.sh(
    `ip address del 192.0.2.1/24 dev eth0; ip address add 192.0.2.11/24 dev eth0; ${other("192.0.2.11", "fd50::1")}`,
  );
  expect(fabric.poll().underlayChanged).toBe(true);
  fabric.configure(specOf(there.underlay, { own: lease(1, { families, address: "192.0.2.11" }) }));
  expect(await ping()).toMatch(/ 0% packet loss[\s\S]* 0% packet loss/);
  expect(await there.indexOf("tsnet.1")).toBe(index);
});

it("the highest VNI of both families makes names that the kernel takes", () => {
  const backend = { ...VXLAN, vni: 16_777_215 };
  expect(fabric.adoptable(backend)).toEqual({});
  fabric.configure(specOf(there.underlay, { backend, own: lease(1, { families: [4, 6] }) }));
  expect(fabric.devices).toEqual({ 4: "tsnet.16777215", 6: "tsnet6.16777215" });
});

it("the device of an earlier VNI goes once the peers are known", async () => {
  fabric.configure(specOf(there.underlay));
  fabric.replace([lease(2)]);
  fabric.close();
  fabric = there.open();
  const backend = { ...VXLAN, vni: 7 };
  fabric.configure(specOf(there.underlay, { backend }));
  expect(await there.sh("ip -br link")).toContain("tsnet.1");
  fabric.replace([lease(2, { vni: 7 })]);
  expect(await there.sh("ip -br link")).not.toContain("tsnet.1 ");
  expect((await there.entries("tsnet.7")).filter((line) => line.includes(" via "))).toEqual([
    "10.100.2.0/24 via 10.100.2.0 dev tsnet.7 proto 116 onlink",
  ]);
});

it("two peers with one MAC: the second is refused by name and has its turn when the first leaves", async () => {
  fabric.configure(specOf(there.underlay));
  const { failures } = fabric.replace([lease(2), lease(3, { mac: "0a:00:00:00:00:02" }), lease(4)]);
  expect(failures).toEqual(new Map([["h3", "0a:00:00:00:00:02 dst 192.0.2.3 dev tsnet.1: host-2 has that already"]]));
  expect(await there.entries()).toContain("0a:00:00:00:00:02 dst 192.0.2.2 self permanent");
  expect(fabric.remove("h2").failures).toEqual(new Map());
  expect(await there.entries()).toContain("0a:00:00:00:00:02 dst 192.0.2.3 self permanent");
  expect(fabric.compare()).toEqual({ repairs: [], failures: new Map() });
});

it("what the kernel refuses of one peer is told by its key, tried again at a comparison, and keeps no other away", async () => {
  fabric.configure(specOf(there.underlay));
  // A device of IPv4 takes no address of IPv6 for a host.
  const bad = lease(2, { address: "fd50::2" });
  const { failures } = fabric.replace([bad, lease(3)]);
  expect([...failures]).toEqual([["h2", expect.stringContaining("replace fdb entry 0a:00:00:00:00:02: ")]]);
  expect(fabric.compare().failures).toEqual(failures);
  expect(fabric.upsert(lease(3, { address: "192.0.2.33" })).failures).toEqual(new Map());
  expect(await there.entries()).toContain("0a:00:00:00:00:03 dst 192.0.2.33 self permanent");
  expect(fabric.upsert(lease(2)).failures).toEqual(new Map());
  expect(fabric.compare()).toEqual({ repairs: [], failures: new Map() });
});

it("a lease for another network or without a VTEP is reached in no way, and says why", async () => {
  fabric.configure(specOf(there.underlay));
  const { failures } = fabric.replace([
    lease(2, { vni: 7 }),
    lease(3, { backend: "host-gw", mac: undefined }),
    lease(4, { mac: undefined }),
  ]);
  expect(failures).toEqual(new Map());
  expect(["h2", "h3", "h4"].map((key) => fabric.way(key)[4])).toEqual([
    { kind: "none", reason: "its VNI is 7, ours 1" },
    { kind: "none", reason: "its backend is host-gw, ours vxlan" },
    { kind: "none", reason: "its lease has no VTEP MAC" },
  ]);
  expect(await there.entries()).toEqual(["inet 10.100.1.0/32"]);
});

it("row 14: where the network says so the kernel computes checksums, not the card, whoever turns that back", () => {
  fabric.configure(specOf(there.underlay));
  expect(there.checksumOffload("tsnet.1")).toBe(true);
  fabric.configure(specOf(there.underlay, { backend: { ...VXLAN, checksumOffload: false } }));
  expect(there.checksumOffload("tsnet.1")).toBe(false);
  expect(there.log.lines).toEqual([]);
});

it("row 23: the device takes answers that come another way, and believes no router", async () => {
  await there.sh("sysctl -qw net.ipv4.conf.default.rp_filter=1");
  fabric.configure(specOf(there.underlay));
  const sysctls = ["net.ipv4.conf.tsnet/1.rp_filter", "net.ipv6.conf.tsnet/1.accept_ra"];
  expect(await there.sh(`sysctl -n ${sysctls.join(" ")}`)).toBe("2\n0\n");
});

it("the blackhole of our own subnet stands behind a bridge's route", async () => {
  fabric.configure(specOf(there.underlay, { blackholeRoute: true, own: lease(1, { families: [4, 6] }) }));
  fabric.replace([]);
  expect(repairsOf(fabric.poll())).toEqual([]);
  expect(await there.sh("ip route show type blackhole; ip -6 route show type blackhole")).toMatch(
    /^blackhole 10.100.1.0\/24 proto 116 metric \d+ \nblackhole fd00:244:0:1::\/64 dev lo proto 116 metric \d+ .*\n$/,
  );
  await there.sh("ip link add cni0 type bridge; ip address add 10.100.1.1/24 dev cni0; ip link set cni0 up");
  expect(await there.sh("ip route get 10.100.1.9")).toContain("dev cni0");
  await there.sh("ip route flush type blackhole");
  expect(repairsOf(fabric.poll())).toEqual(["route missing: blackhole 10.100.1.0/24"]);
});
