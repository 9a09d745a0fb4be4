import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OpenFabric } from "../../../overlay/kernel/open.ts";
import { FabricHost, lease, repairsOf, specOf } from "./fixture.ts";

let there: FabricHost;
let fabric: OpenFabric;
let before: readonly string[];

beforeEach(async () => {
  there = await FabricHost.create();
  fabric = there.open();
  fabric.configure(specOf(there.underlay, { own: lease(1, { families: [4, 6] }) }));
  fabric.replace([lease(2, { families: [4, 6] }), lease(3)]);
  fabric.poll();
  before = await everything();
});

afterEach(async () => {
  fabric.close();
  await there.destroy();
});

const DEVICES = ["tsnet.1", "tsnet-v6.1"];

/** Of both devices: their entries, and how they are set. */
async function everything(): Promise<readonly string[]> {
  const entries = await Promise.all(DEVICES.map((device) => there.entries(device)));
  const links = await there.sh(`for d in ${DEVICES.join(" ")}; do ip -d -o link show $d; done`);
  // An index is new each time.
  return [...entries.flat(), ...links.replace(/^\d+: /gm, "").split("\n")];
}

const ROUTE = "10.100.2.0/24 via 10.100.2.0 dev tsnet.1";
const NEIGHBOUR = "10.100.2.0 lladdr 0a:00:00:00:00:02 dev tsnet.1";
const FDB = "0a:00:00:00:00:02 dst 192.0.2.2 dev tsnet.1";
const OTHER_FDB = "0a:00:00:00:00:03 dst 192.0.2.3 dev tsnet.1";

describe("row 16: what anybody does to peers' entries is noticed by its event and put right", () => {
  it.each([
    ["a route is deleted", "ip route del 10.100.2.0/24", [`route missing: ${ROUTE}`]],
    [
      "a route is led elsewhere",
      "ip route replace 10.100.2.0/24 via 192.0.2.9 dev eth0",
      [`route different: ${ROUTE}`],
    ],
    [
      "a route is changed",
      "ip route change 10.100.2.0/24 via 10.100.2.0 dev tsnet.1 onlink mtu 999 proto 116",
      [`route different: ${ROUTE}`],
    ],
    [
      "a route is set beside",
      "ip route append 10.100.2.0/24 via 10.100.9.0 dev tsnet.1 onlink",
      [`route different: ${ROUTE}`],
    ],
    [
      "a route is added on the device",
      "ip route add 10.100.9.0/24 dev tsnet.1",
      ["route superfluous: 10.100.9.0/24 dev tsnet.1"],
    ],
    [
      "a route is added in another table",
      "ip route add 10.100.9.0/24 dev tsnet.1 table 100",
      ["route superfluous: 10.100.9.0/24 dev tsnet.1"],
    ],
    [
      "a route of our number is added elsewhere",
      "ip route add 10.100.9.0/24 via 192.0.2.9 proto 116",
      ["route superfluous: 10.100.9.0/24 via 192.0.2.9 dev eth0"],
    ],
    [
      "a route of IPv6 is deleted",
      "ip -6 route del fd00:244:0:2::/64",
      ["route missing: fd00:244:0:2::/64 via fd00:244:0:2:: dev tsnet-v6.1"],
    ],
    [
      "a route of IPv6 is led elsewhere",
      "ip -6 route replace fd00:244:0:2::/64 via fd50::9 dev eth0",
      ["route different: fd00:244:0:2::/64 via fd00:244:0:2:: dev tsnet-v6.1"],
    ],
    ["a neighbour is deleted", "ip neighbour del 10.100.2.0 dev tsnet.1", [`neighbour missing: ${NEIGHBOUR}`]],
    [
      "a neighbour is changed",
      "ip neighbour replace 10.100.2.0 lladdr 0a:00:00:00:00:77 dev tsnet.1 nud permanent",
      [`neighbour different: ${NEIGHBOUR}`],
    ],
    [
      "a neighbour is made to age",
      "ip neighbour replace 10.100.2.0 lladdr 0a:00:00:00:00:02 dev tsnet.1 nud reachable",
      [`neighbour different: ${NEIGHBOUR}`],
    ],
    [
      "a neighbour is added",
      "ip neighbour add 10.100.9.0 lladdr 0a:00:00:00:00:09 dev tsnet.1",
      ["neighbour superfluous: 10.100.9.0 lladdr 0a:00:00:00:00:09 dev tsnet.1"],
    ],
    [
      "all neighbours are flushed",
      "ip neighbour flush dev tsnet.1 nud permanent",
      [`neighbour missing: ${NEIGHBOUR}`, "neighbour missing: 10.100.3.0 lladdr 0a:00:00:00:00:03 dev tsnet.1"],
    ],
    ["an FDB entry is deleted", "bridge fdb del 0a:00:00:00:00:02 dev tsnet.1", [`fdb missing: ${FDB}`]],
    [
      "an FDB entry is changed",
      "bridge fdb replace 0a:00:00:00:00:02 dev tsnet.1 dst 192.0.2.99",
      [`fdb different: ${FDB}`],
    ],
    [
      "an FDB entry is changed in its port",
      "bridge fdb replace 0a:00:00:00:00:02 dev tsnet.1 dst 192.0.2.2 port 9999",
      [`fdb different: ${FDB}`],
    ],
    [
      "an FDB entry is added",
      "bridge fdb add 0a:00:00:00:00:09 dev tsnet.1 dst 192.0.2.9",
      ["fdb superfluous: 0a:00:00:00:00:09 dst 192.0.2.9 dev tsnet.1"],
    ],
    [
      "all FDB entries are flushed",
      "for mac in 2 3; do bridge fdb del 0a:00:00:00:00:0$mac dev tsnet.1; done",
      [`fdb missing: ${FDB}`, `fdb missing: ${OTHER_FDB}`],
    ],
  ])("%s", async (_, damage, repairs) => {
    await there.sh(damage);
    expect(repairsOf(fabric.poll())).toEqual(repairs);
    expect(await everything()).toEqual(before);
    // The repair, told by the kernel, is no new damage.
    expect(repairsOf(fabric.poll())).toEqual([]);
    expect(repairsOf(fabric.compare())).toEqual([]);
  });

  it.each([
    ["ip route del 10.100.2.0/24", [`route missing: ${ROUTE}`]],
    [
      "ip route append 10.100.2.0/24 via 10.100.9.0 dev tsnet.1 onlink",
      ["route superfluous: 10.100.2.0/24 via 10.100.9.0 dev tsnet.1"],
    ],
    ["bridge fdb replace 0a:00:00:00:00:02 dev tsnet.1 dst 192.0.2.99", [`fdb different: ${FDB}`]],
  ])("and by a comparison, where no event was: %s", async (damage, repairs) => {
    await there.sh(damage);
    expect(repairsOf(fabric.compare())).toEqual(repairs);
    expect(await everything()).toEqual(before);
    expect(repairsOf(fabric.poll())).toEqual([]);
  });

  it("what is others' stays: their routes, their neighbours, the kernel's own", async () => {
    await there.sh(`
      ip route add 10.100.9.0/24 via 192.0.2.9; ip route add 10.100.2.0/25 via 192.0.2.9
      ip route add 10.100.2.0/24 via 192.0.2.9 metric 5
      ip neighbour add 192.0.2.9 lladdr 0a:00:00:00:00:09 dev eth0
      ip -6 route add fd00:244:0:9::/64 via fd50::9`);
    const others = await everything();
    expect(repairsOf(fabric.poll())).toEqual([]);
    expect(repairsOf(fabric.compare())).toEqual([]);
    expect(await everything()).toEqual(others);
    expect(await there.sh("ip route show 10.100.9.0/24; ip -6 route show fd00:244:0:9::/64")).toContain("192.0.2.9");
  });
});

describe("what anybody does to the devices is noticed and put right, with all that went with it", () => {
  it.each([
    ["the device is deleted", "ip link del tsnet.1", ["device missing: tsnet.1"]],
    ["the device is taken down", "ip link set tsnet.1 down", ["device different: tsnet.1 up"]],
    [
      "the device is made a port of a bridge",
      "ip link add theirs type bridge; ip link set tsnet.1 master theirs",
      ["device different: tsnet.1 nomaster"],
    ],
    [
      "the device is renamed",
      "ip link set tsnet.1 down; ip link set tsnet.1 name theirs; ip link set theirs up",
      ["device different: tsnet.1 up"],
    ],
    ["the device is taken down and up", "ip link set tsnet.1 down; ip link set tsnet.1 up", undefined],
    ["the device of IPv6 is taken down and up", "ip link set tsnet-v6.1 down; ip link set tsnet-v6.1 up", undefined],
    [
      "row 15: the MAC is rewritten",
      "ip link set tsnet.1 address 0a:00:00:00:00:77",
      ["device different: tsnet.1 address 0a:00:00:00:00:01"],
    ],
    ["row 17: the MTU is changed", "ip link set tsnet.1 mtu 1200", ["device different: tsnet.1 mtu 1450"]],
    [
      "the local address is changed",
      "ip link set tsnet.1 type vxlan local 192.0.2.77",
      ["device different: tsnet.1 local 192.0.2.1"],
    ],
    ["learning is turned on", "ip link set tsnet.1 type vxlan learning", ["device different: tsnet.1 nolearning"]],
    [
      "the address is deleted",
      "ip address del 10.100.1.0/32 dev tsnet.1",
      ["address missing: 10.100.1.0/32 dev tsnet.1"],
    ],
    [
      "the address of IPv6 is deleted",
      "ip address del fd00:244:0:1::/128 dev tsnet-v6.1",
      ["address missing: fd00:244:0:1::/128 dev tsnet-v6.1"],
    ],
    [
      "an address is added",
      "ip address add 10.77.0.1/24 dev tsnet.1",
      ["address superfluous: 10.77.0.1/24 dev tsnet.1"],
    ],
  ])("%s", async (_, damage, repairs) => {
    await there.sh(damage);
    const report = fabric.poll();
    if (repairs === undefined) expect(report.repairs).not.toEqual([]);
    else expect(repairsOf(report)).toEqual(repairs);
    expect(report.failures).toEqual(new Map());
    expect(report.underlayChanged).toBe(false);
    expect(await everything()).toEqual(before);
    expect(repairsOf(fabric.poll())).toEqual([]);
    expect(repairsOf(fabric.compare())).toEqual([]);
  });

  it("another device in the place of ours is told by its name, and ours is back as soon as it is gone", async () => {
    await there.sh("ip link del tsnet.1; ip link add theirs type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472");
    expect(fabric.poll().failures).toEqual(new Map([["", expect.stringContaining("is that of theirs")]]));
    expect(fabric.devices).toEqual({ 6: "tsnet-v6.1" });
    await there.sh("ip link del theirs");
    expect(repairsOf(fabric.compare())).toEqual(["device missing: tsnet.1"]);
    expect(await everything()).toEqual(before);
  });
});
