import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OpenFabric } from "../../../overlay/kernel/open.ts";
import type { Lease } from "../../../overlay/types.ts";
import { FabricHost, HOST_GW, lease as leaseOf, repairsOf, specOf, VXLAN } from "./fixture.ts";

let there: FabricHost;
let fabric: OpenFabric;

beforeEach(async () => {
  there = await FabricHost.create();
  // Beyond the router 192.0.2.254 are 192.0.3.0/24 and fd51::/64.
  await there.sh("ip route add 192.0.3.0/24 via 192.0.2.254; ip -6 route add fd51::/64 via fd50::fe");
  fabric = there.open();
});

afterEach(async () => {
  fabric.close();
  await there.destroy();
});

const FAMILIES = [4, 6] as const;
const FAR = { ...{ address: "192.0.3.9" } };

async function routes(): Promise<readonly string[]> {
  const out = await there.sh("ip route show proto 116; ip -6 route show proto 116");
  return out
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

describe("directRouting", () => {
  const backend = { ...VXLAN, directRouting: true };

  beforeEach(() => {
    fabric.configure(specOf(there.underlay, { backend, own: leaseOf(1, { families: FAMILIES }) }));
  });

  it("a peer on the link gets a plain route and nothing on the device, one beyond a router the device", async () => {
    fabric.replace([leaseOf(2, { families: FAMILIES }), leaseOf(9, FAR)]);
    expect(await routes()).toEqual([
      "10.100.2.0/24 via 192.0.2.2 dev eth0",
      "10.100.9.0/24 via 10.100.9.0 dev tsnet.1 onlink",
      "fd00:244:0:2::/64 via fd50::2 dev eth0 metric 1024 pref medium",
    ]);
    expect(await there.sh("bridge fdb show dev tsnet.1; bridge fdb show dev tsnet-v6.1")).toBe(
      "0a:00:00:00:00:09 dst 192.0.3.9 self permanent\n",
    );
    expect(fabric.way("h2")).toEqual({ 4: { kind: "direct", device: "eth0" }, 6: { kind: "direct", device: "eth0" } });
    expect(fabric.way("h9")).toEqual({ 4: { kind: "vxlan", device: "tsnet.1" } });
    expect(repairsOf(fabric.poll())).toEqual([]);
  });

  it("a peer that the underlay's routes lead to in another way follows at once, there and back", async () => {
    fabric.replace([leaseOf(2, { families: FAMILIES })]);
    fabric.poll();
    const direct = await routes();
    await there.sh("ip route add 192.0.2.2/32 via 192.0.2.254; ip -6 route add fd50::2/128 via fd50::fe");
    expect(fabric.poll()).toMatchObject({ repairs: [], failures: new Map() });
    expect(await routes()).toEqual([
      "10.100.2.0/24 via 10.100.2.0 dev tsnet.1 onlink",
      "fd00:244:0:2::/64 via fd00:244:0:2:: dev tsnet-v6.1 metric 1024 onlink pref medium",
    ]);
    expect(await there.sh("bridge fdb show dev tsnet.1; bridge fdb show dev tsnet-v6.1")).toMatch(
      /192\.0\.2\.2.*\n.*fd50::2/,
    );
    await there.sh("ip route del 192.0.2.2/32; ip -6 route del fd50::2/128");
    fabric.poll();
    expect(await routes()).toEqual(direct);
    expect(await there.sh("bridge fdb show dev tsnet.1; bridge fdb show dev tsnet-v6.1")).toBe("");
    expect(repairsOf(fabric.compare())).toEqual([]);
  });

  it("a link that flaps takes the routes with it, which the kernel does not tell; they are back when it is", async () => {
    fabric.replace([leaseOf(2)]);
    fabric.poll();
    await there.sh("ip link set eth0 down");
    expect(fabric.poll()).toMatchObject({ underlayChanged: true, failures: new Map() });
    await there.sh("ip link set eth0 up");
    expect(fabric.poll()).toMatchObject({ underlayChanged: true });
    expect(await routes()).toEqual(["10.100.2.0/24 via 192.0.2.2 dev eth0"]);
    await there.sh("ip link set eth0 down; ip link set eth0 up");
    expect(fabric.poll()).toMatchObject({ underlayChanged: true });
    expect(await routes()).toEqual(["10.100.2.0/24 via 192.0.2.2 dev eth0"]);
  });
});

describe("host-gw", () => {
  const lease = (n: number, more: Parameters<typeof leaseOf>[1] = {}): Lease =>
    leaseOf(n, { backend: "host-gw", mac: undefined, ...more });

  beforeEach(() => {
    fabric.configure(specOf(there.underlay, { backend: HOST_GW, own: lease(1, { families: FAMILIES }) }));
  });

  it("there is no device; peers beyond a router are reached by it", async () => {
    expect(fabric.replace([lease(2, { families: FAMILIES }), lease(9, FAR)])).toEqual({
      repairs: [],
      failures: new Map(),
    });
    expect(fabric.devices).toEqual({});
    expect(fabric.mtu).toBe(1500);
    expect(await routes()).toEqual([
      "10.100.2.0/24 via 192.0.2.2 dev eth0",
      "10.100.9.0/24 via 192.0.2.254 dev eth0",
      "fd00:244:0:2::/64 via fd50::2 dev eth0 metric 1024 pref medium",
    ]);
    expect(fabric.way("h9")).toEqual({ 4: { kind: "router", device: "eth0", gateway: "192.0.2.254" } });
    expect(await there.sh("ip -br link")).not.toContain("tsnet");
    expect(repairsOf(fabric.poll())).toEqual([]);
    expect(repairsOf(fabric.compare())).toEqual([]);
  });

  it("row 16: a route is put back, and a stale one of our number goes", async () => {
    fabric.replace([lease(2), lease(9, FAR)]);
    fabric.poll();
    await there.sh("ip route del 10.100.2.0/24; ip route add 10.100.7.0/24 via 192.0.2.7 proto 116");
    expect(repairsOf(fabric.poll())).toEqual([
      "route missing: 10.100.2.0/24 via 192.0.2.2 dev eth0",
      "route superfluous: 10.100.7.0/24 via 192.0.2.7 dev eth0",
    ]);
    expect(await routes()).toEqual(["10.100.2.0/24 via 192.0.2.2 dev eth0", "10.100.9.0/24 via 192.0.2.254 dev eth0"]);
  });

  it("a peer to which no route leads says so, and is reached as soon as one does", async () => {
    fabric.replace([lease(2, { address: "198.51.100.2" }), lease(3)]);
    expect(fabric.way("h2")).toEqual({ 4: { kind: "none", reason: "no route to 198.51.100.2" } });
    await there.sh("ip route add 198.51.100.0/24 via 192.0.2.254");
    fabric.poll();
    expect(fabric.way("h2")).toEqual({ 4: { kind: "router", device: "eth0", gateway: "192.0.2.254" } });
    expect(await routes()).toContain("10.100.2.0/24 via 192.0.2.254 dev eth0");
  });

  it("from VXLAN to host-gw the routes change in one step each, then the device goes", async () => {
    fabric.close();
    fabric = there.open();
    fabric.configure(specOf(there.underlay, { own: leaseOf(1, { families: FAMILIES }) }));
    fabric.replace([leaseOf(2, { families: FAMILIES })]);
    fabric.close();
    fabric = there.open();
    fabric.configure(specOf(there.underlay, { backend: HOST_GW, own: lease(1, { families: FAMILIES }) }));
    fabric.replace([lease(2, { families: FAMILIES })]);
    expect(await routes()).toEqual([
      "10.100.2.0/24 via 192.0.2.2 dev eth0",
      "fd00:244:0:2::/64 via fd50::2 dev eth0 metric 1024 pref medium",
    ]);
    expect(await there.sh("ip -br link")).not.toContain("tsnet");
    // And back.
    fabric.close();
    fabric = there.open();
    fabric.configure(specOf(there.underlay, { own: leaseOf(1, { families: FAMILIES }) }));
    expect(fabric.replace([leaseOf(2, { families: FAMILIES })]).failures).toEqual(new Map());
    expect(await routes()).toEqual([
      "10.100.2.0/24 via 10.100.2.0 dev tsnet.1 onlink",
      "fd00:244:0:2::/64 via fd00:244:0:2:: dev tsnet-v6.1 metric 1024 onlink pref medium",
    ]);
  });
});

describe("the underlay", () => {
  beforeEach(() => {
    fabric.configure(specOf(there.underlay));
    fabric.replace([leaseOf(2)]);
    fabric.poll();
  });

  it.each([
    ["its MTU", "ip link set eth0 mtu 1400"],
    ["its address is removed", "ip address del 192.0.2.1/24 dev eth0"],
    ["it has an address more", "ip address add 192.0.2.77/24 dev eth0"],
    ["it is taken down", "ip link set eth0 down"],
    ["it is renamed", "ip link set eth0 down; ip link set eth0 name lan0; ip link set lan0 up"],
    ["another default route", "ip route replace default via 192.0.2.254"],
    ["its address is elsewhere too", "ip link add br0 type bridge; ip address add 192.0.2.1/24 dev br0"],
  ])("a change is told, once: %s", async (_, change) => {
    await there.sh(change);
    expect(fabric.poll().underlayChanged).toBe(true);
    // Addresses of IPv6 come and go a moment later.
    await Bun.sleep(100);
    fabric.poll();
    expect(fabric.poll().underlayChanged).toBe(false);
  });

  it("what changes elsewhere is not told", async () => {
    await there.sh("ip link add br0 type bridge; ip address add 198.51.100.1/24 dev br0; ip link set br0 up");
    expect(fabric.poll()).toEqual({ repairs: [], failures: new Map(), underlayChanged: false });
  });

  it("its link deleted takes the device along; with the link, of another index, the device is made again", async () => {
    await there.sh("ip link del eth0");
    const report = fabric.poll();
    expect(report.underlayChanged).toBe(true);
    expect([...report.failures.keys()]).toEqual([""]);
    expect(fabric.devices).toEqual({});
    await there.sh(`
      ip link add eth0 type veth peer name eth0 netns wire; ip address add 192.0.2.1/24 dev eth0
      ip link set eth0 up; ip -n wire link set eth0 up`);
    expect(fabric.poll().underlayChanged).toBe(true);
    expect(fabric.configure(specOf(there.underlay)).failures).toEqual(new Map());
    expect(await there.entries()).toHaveLength(4);
    expect(repairsOf(fabric.compare())).toEqual([]);
  });
});
