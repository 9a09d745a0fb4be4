import { describe, expect, it } from "vitest";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { containerMtu, deviceNames, deviceSpecs } from "../../../overlay/kernel/device.ts";
import { differenceOf } from "../../../overlay/kernel/difference.ts";
import { describeEntry, type Entry, fdbLine, neighbourEntry, routeEntry } from "../../../overlay/kernel/entry.ts";
import { Observed } from "../../../overlay/kernel/observed.ts";
import { WantedTable } from "../../../overlay/kernel/table.ts";
import { type Hop, planOwn, planPeer } from "../../../overlay/kernel/wanted.ts";
import type { Backend } from "../../../overlay/types.ts";
import { HOST_GW, lease, specOf, VXLAN } from "./fixture.ts";

const ETH0 = { index: 2, name: "eth0", mtu: 1500 };
const DEVICES = { 4: { index: 7, name: "tsnet.1" }, 6: { index: 8, name: "tsnet-v6.1" } };
const NAMES = new Map([ETH0, ...Object.values(DEVICES)].map(({ index, name }) => [index, name]));

const words = (entries: readonly Entry[]) =>
  entries.map((entry) => describeEntry(entry, (index) => NAMES.get(index) ?? `link ${index}`));

describe("what a peer needs", () => {
  const direct: Hop = { dev: 2, name: "eth0", gateway: undefined };
  const routed: Hop = { dev: 2, name: "eth0", gateway: parseAddress("192.0.2.254") };
  const elsewhere: Hop = { dev: 3, name: "eth1", gateway: undefined };
  const directRouting: Backend = { ...VXLAN, directRouting: true };
  const tunnel = [
    "10.100.2.0 lladdr 0a:00:00:00:00:02 dev tsnet.1",
    "0a:00:00:00:00:02 dst 192.0.2.2 dev tsnet.1",
    "10.100.2.0/24 via 10.100.2.0 dev tsnet.1",
  ];

  it.each([
    ["VXLAN, wherever it is", VXLAN, undefined, tunnel, { kind: "vxlan", device: "tsnet.1" }],
    [
      "directRouting, on the link",
      directRouting,
      direct,
      ["10.100.2.0/24 via 192.0.2.2 dev eth0"],
      { kind: "direct", device: "eth0" },
    ],
    ["directRouting, beyond a router", directRouting, routed, tunnel, { kind: "vxlan", device: "tsnet.1" }],
    ["directRouting, by another interface", directRouting, elsewhere, tunnel, { kind: "vxlan", device: "tsnet.1" }],
    ["directRouting, unreachable for now", directRouting, undefined, tunnel, { kind: "vxlan", device: "tsnet.1" }],
    [
      "host-gw, on the link",
      HOST_GW,
      direct,
      ["10.100.2.0/24 via 192.0.2.2 dev eth0"],
      { kind: "direct", device: "eth0" },
    ],
    [
      "host-gw, beyond a router",
      HOST_GW,
      routed,
      ["10.100.2.0/24 via 192.0.2.254 dev eth0"],
      { kind: "router", device: "eth0", gateway: "192.0.2.254" },
    ],
    ["host-gw, unreachable", HOST_GW, undefined, [], { kind: "none", reason: "no route to 192.0.2.2" }],
  ] as const)("%s", (_, backend, hop, entries, way) => {
    const peer = lease(2, { backend: backend.type });
    const plan = planPeer(specOf(ETH0, { backend }), DEVICES, peer, () => hop);
    expect(words(plan.entries)).toEqual(entries);
    expect(plan.ways).toEqual({ 4: way });
  });

  it("has the families that both have", () => {
    const spec = specOf(ETH0, { own: lease(1, { families: [6] }) });
    const plan = planPeer(spec, DEVICES, lease(2, { families: [4, 6] }), () => undefined);
    expect(words(plan.entries)).toEqual([
      "fd00:244:0:2:: lladdr 0a:00:00:00:00:02 dev tsnet-v6.1",
      "0a:00:00:00:00:02 dst fd50::2 dev tsnet-v6.1",
      "fd00:244:0:2::/64 via fd00:244:0:2:: dev tsnet-v6.1",
    ]);
    expect(Object.keys(plan.ways)).toEqual(["6"]);
  });

  it("the way is asked for only where it matters", () => {
    const never = () => {
      throw new Error("asked");
    };
    expect(planPeer(specOf(ETH0), DEVICES, lease(2), never).entries).toHaveLength(3);
  });

  it("of our own there is a blackhole, if it is wanted", () => {
    expect(planOwn(specOf(ETH0))).toEqual([]);
    expect(words(planOwn(specOf(ETH0, { blackholeRoute: true })))).toEqual(["blackhole 10.100.1.0/24"]);
  });
});

describe("row 17: the MTU is what fits", () => {
  const both = lease(1, { families: [4, 6] });

  it.each([
    [1500, VXLAN, [4], 1450],
    [1500, VXLAN, [6], 1430],
    [1500, VXLAN, [4, 6], 1430],
    [9000, VXLAN, [4], 8950],
    [1500, { ...VXLAN, mtu: 1400 }, [4, 6], 1400],
    [1500, HOST_GW, [4, 6], 1500],
    [1500, { ...HOST_GW, mtu: 1300 }, [4], 1300],
  ] as const)("underlay %i, %o, IPv%s: containers get %i bytes", (mtu, backend, families, expected) => {
    const own = lease(1, { families });
    expect(containerMtu(specOf({ ...ETH0, mtu }, { backend, own }))).toBe(expected);
  });

  it("each device has what its own family's way carries", () => {
    const specs = deviceSpecs(specOf(ETH0, { own: both }));
    expect([specs[4]?.mtu, specs[6]?.mtu]).toEqual([1450, 1430]);
    expect([specs[4], specs[6]].map((spec) => spec && formatCidr(spec.address))).toEqual([
      "10.100.1.0/32",
      "fd00:244:0:1::/128",
    ]);
    expect([specs[4], specs[6]].map((spec) => spec && formatAddress(spec.local))).toEqual(["192.0.2.1", "fd50::1"]);
    expect(deviceSpecs(specOf(ETH0, { own: both, backend: HOST_GW }))).toEqual({});
  });

  it.each([
    [
      { backend: { ...VXLAN, mtu: 1480 } },
      "MTU 1480 of the network does not fit through eth0: of its 1500 bytes VXLAN over IPv4 takes 50: set 1450 or less",
    ],
    [{ own: lease(1, { mac: undefined }) }, "this host's IPv4 lease has no VTEP MAC, which VXLAN needs"],
  ])("what cannot be is refused before anything is touched: %#", (more, message) => {
    expect(() => deviceSpecs(specOf(ETH0, more))).toThrow(message);
  });

  it("IPv6 needs 1280 bytes", () => {
    expect(() => deviceSpecs(specOf({ ...ETH0, mtu: 1300 }, { own: both }))).toThrow(
      "eth0 leaves 1230 bytes for IPv6, which needs 1280: raise its MTU to 1350",
    );
  });
});

it.each([
  [4, 16_777_215, ["tsnet.16777215"]],
  [6, 1, ["tsnet-v6.1", "flannel-v6.1"]],
  [6, 99_999, ["tsnet-v6.99999"]],
  [6, 16_777_215, ["tsnet6.16777215"]],
] as const)("the device of IPv%i and VNI %i has a name that the kernel takes", (family, vni, names) => {
  expect(deviceNames(family, vni)).toEqual(names);
  for (const name of names) expect(name.length).toBeLessThanOrEqual(15);
});

const route = (dst: string, via: string, dev = 7) =>
  routeEntry({ dst: parseCidr(dst), gateway: parseAddress(via), dev, onlink: true, protocol: 116 });
const fdb = (mac: string, dst: string) => fdbLine({ index: 7, mac, dst: parseAddress(dst) });
const neigh = (address: string, mac: string) =>
  neighbourEntry({ index: 7, address: parseAddress(address), mac, permanent: true });

const TWO = route("10.100.2.0/24", "10.100.2.0");
const TWO_ELSEWHERE = route("10.100.2.0/24", "10.100.9.0");
const THREE = route("10.100.3.0/24", "10.100.3.0");

function tableOf(...entries: readonly Entry[]): WantedTable {
  const table = new WantedTable();
  table.set("peer", entries);
  return table;
}

describe("the difference to what the kernel holds", () => {
  const found = (repairs: readonly { entry: Entry; found: string }[]) =>
    repairs.map(({ entry, found }) => `${found} ${words([entry])[0]}`);

  it("is nothing where all is there", () => {
    expect(differenceOf([THREE, TWO], tableOf(TWO, THREE), { sweep: true })).toEqual({
      put: [],
      drop: [],
      repairs: [],
    });
  });

  it("puts what is missing or different and takes away what nobody wants", () => {
    const { put, drop, repairs } = differenceOf(
      [TWO_ELSEWHERE, fdb("0a:00:00:00:00:09", "192.0.2.9")],
      tableOf(TWO, THREE),
      {
        sweep: true,
      },
    );
    expect(put).toEqual([TWO, THREE]);
    expect(words(drop)).toEqual(["0a:00:00:00:00:09 dst 192.0.2.9 dev tsnet.1"]);
    expect(found(repairs)).toEqual([
      "different 10.100.2.0/24 via 10.100.2.0 dev tsnet.1",
      "missing 10.100.3.0/24 via 10.100.3.0 dev tsnet.1",
      "superfluous 0a:00:00:00:00:09 dst 192.0.2.9 dev tsnet.1",
    ]);
  });

  it("does not take away what is nobody's before the peers are known", () => {
    expect(differenceOf([THREE], tableOf(TWO), { sweep: false }).drop).toEqual([]);
  });

  it("takes a second route of one destination away, and never ours with it", () => {
    expect(differenceOf([TWO, TWO_ELSEWHERE], tableOf(TWO), { sweep: true }).drop).toEqual([TWO_ELSEWHERE]);
    const slower = routeEntry({ ...TWO.route, mtu: 999 });
    expect(differenceOf([slower, TWO], tableOf(TWO), { sweep: true })).toEqual({ put: [], drop: [], repairs: [] });
  });

  it("tells no repair where what is wanted has changed", () => {
    const before = tableOf(TWO_ELSEWHERE, THREE);
    const four = route("10.100.4.0/24", "10.100.4.0");
    const { put, drop, repairs } = differenceOf([TWO_ELSEWHERE, THREE], tableOf(TWO, four), { before, sweep: true });
    expect([put, drop, repairs]).toEqual([[TWO, four], [THREE], []]);
  });
});

describe("events", () => {
  const see = (wanted: WantedTable, ...events: readonly (readonly [Entry, "new" | "gone"])[]) => {
    const observed = new Observed(wanted, () => true);
    for (const [entry, kind] of events) observed.see(entry, kind === "gone");
    const { put, drop } = observed.difference({ sweep: true });
    return { put: words(put), drop: words(drop) };
  };
  const nothing = { put: [], drop: [] };

  it("our own changes come to nothing, whatever was wanted meanwhile", () => {
    expect(see(tableOf(TWO), [TWO, "new"])).toEqual(nothing);
    expect(see(tableOf(TWO), [TWO_ELSEWHERE, "new"], [TWO, "new"])).toEqual(nothing);
    expect(see(tableOf(THREE), [TWO, "new"], [THREE, "new"], [TWO, "gone"])).toEqual(nothing);
    expect(see(tableOf(), [TWO, "gone"])).toEqual(nothing);
  });

  it("what was put right already comes to nothing", () => {
    expect(see(tableOf(TWO), [TWO, "gone"], [TWO, "new"])).toEqual(nothing);
  });

  it("the last word counts", () => {
    expect(see(tableOf(TWO), [TWO, "new"], [TWO, "gone"])).toEqual({ put: words([TWO]), drop: [] });
    expect(see(tableOf(TWO), [TWO_ELSEWHERE, "new"])).toEqual({ put: words([TWO]), drop: words([TWO_ELSEWHERE]) });
    expect(see(tableOf(TWO), [TWO_ELSEWHERE, "new"], [TWO_ELSEWHERE, "gone"])).toEqual({ put: words([TWO]), drop: [] });
    expect(see(tableOf(), [TWO, "new"])).toEqual({ put: [], drop: words([TWO]) });
  });

  it("a neighbour or an FDB entry that is changed is replaced, not deleted", () => {
    const wanted = neigh("10.100.2.0", "0a:00:00:00:00:02");
    expect(see(tableOf(wanted), [neigh("10.100.2.0", "0a:00:00:00:00:77"), "new"])).toEqual({
      put: words([wanted]),
      drop: [],
    });
    expect(see(tableOf(wanted), [neigh("10.100.2.0", "0a:00:00:00:00:77"), "gone"])).toEqual({
      put: words([wanted]),
      drop: [],
    });
  });

  it("what is neither wanted nor ours is nobody's business", () => {
    const observed = new Observed(tableOf(TWO), () => false);
    observed.see(THREE, false);
    observed.see(TWO_ELSEWHERE, false);
    expect(observed.difference({ sweep: true })).toMatchObject({ put: [TWO], drop: [] });
  });
});

describe("who wants a slot", () => {
  it("the second to want it has nothing, and keeps nothing of what it had", () => {
    const table = tableOf(TWO);
    expect(table.set("other", [THREE])).toEqual({ put: [THREE], drop: [], clash: undefined });
    const clash = { with: "peer", entry: TWO_ELSEWHERE };
    expect(table.set("other", [THREE, TWO_ELSEWHERE])).toEqual({ put: [], drop: [THREE], clash });
    expect([...table.entries()]).toEqual([TWO]);
    expect(table.set("peer", [])).toEqual({ put: [], drop: [TWO], clash: undefined });
    expect(table.set("other", [TWO_ELSEWHERE])).toMatchObject({ put: [TWO_ELSEWHERE], clash: undefined });
    expect(table.ownerOf(TWO.slot)).toBe("other");
  });
});
