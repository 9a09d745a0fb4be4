import { expect, test } from "vitest";
import { parseAddress } from "../../lib/net/address.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import { Roster } from "../../overlay/roster.ts";
import type { Backend, Lease } from "../../overlay/types.ts";

const VXLAN: Backend = {
  ...{ type: "vxlan", vni: 1, port: 8472, mtu: undefined },
  ...{ learning: false, gbp: false, directRouting: false, checksumOffload: true },
};
const NETWORKS = { 4: parseCidr("10.244.0.0/16"), 6: parseCidr("fd00:244::/48") };

/** Host `n`, with all that is its own alone, unless told otherwise. */
function lease(
  n: number,
  more: Partial<{ subnet: string; address: string; mac: string; subnet6: string }> = {},
): Lease {
  const part = (subnet: string, address: string) => ({
    subnet: parseCidr(subnet),
    address: parseAddress(address),
    mac: more.mac ?? `0a:00:00:00:00:0${n}`,
  });
  return {
    ...{ key: `h${n}`, host: `host-${n}`, backend: "vxlan", vni: 1 },
    parts: {
      4: part(more.subnet ?? `10.244.${n}.0/24`, more.address ?? `192.0.2.${n}`),
      6: part(more.subnet6 ?? `fd00:244:0:${n}::/64`, `fd50::${n}`),
    },
  };
}

function roster(...all: readonly Lease[]): Roster {
  const made = new Roster({ networks: NETWORKS, backend: VXLAN, own: lease(1) });
  made.replace([lease(1), ...all]);
  return made;
}

const keys = (all: readonly Lease[]) => all.map(({ key }) => key);

test("all others are in, this host is not its own peer", () => {
  expect(keys(roster(lease(3), lease(2)).peers)).toEqual(["h2", "h3"]);
});

test("at a start one that has far too much is left out, not all those who are within", () => {
  const made = roster(lease(2), lease(0, { subnet: "10.244.2.0/23" }), lease(3));
  expect(keys(made.peers)).toEqual(["h2", "h3"]);
  expect(made.refused.get("h0")).toContain("10.244.2.0/23 of host-0 overlaps");
});

const offenders: readonly (readonly [string, Lease, string])[] = [
  [
    "a subnet within another's",
    lease(3, { subnet: "10.244.2.128/25" }),
    "10.244.2.128/25 of host-3 overlaps 10.244.2.0/24 of host-2",
  ],
  [
    "a subnet around another's",
    lease(3, { subnet: "10.244.2.0/23" }),
    "10.244.2.0/23 of host-3 overlaps 10.244.2.0/24 of host-2",
  ],
  [
    "an IPv6 subnet that is another's",
    lease(3, { subnet6: "fd00:244:0:2::/64" }),
    "fd00:244:0:2::/64 of host-3 overlaps fd00:244:0:2::/64 of host-2",
  ],
  [
    "a subnet that is ours",
    lease(3, { subnet: "10.244.1.0/24" }),
    "10.244.1.0/24 of host-3 overlaps 10.244.1.0/24 of this host",
  ],
  [
    "a lease for another network",
    lease(3, { subnet: "10.99.3.0/24" }),
    "10.99.3.0/24 of host-3 is not in the network 10.244.0.0/16",
  ],
  [
    "a subnet larger than the network",
    lease(3, { subnet: "10.0.0.0/8" }),
    "10.0.0.0/8 of host-3 is not in the network 10.244.0.0/16",
  ],
  [
    "row 18: another's public address",
    lease(3, { address: "192.0.2.2" }),
    "the address 192.0.2.2 of host-3 is that of host-2, too",
  ],
  [
    "row 18: our public address",
    lease(3, { address: "192.0.2.1" }),
    "the address 192.0.2.1 of host-3 is this host's, too",
  ],
  [
    "another's MAC",
    lease(3, { mac: "0a:00:00:00:00:02" }),
    "the IPv4 VTEP MAC 0a:00:00:00:00:02 of host-3 is that of host-2, too",
  ],
  ["an unspecified address", lease(3, { address: "0.0.0.0" }), "the address 0.0.0.0 of host-3 is unspecified"],
  ["a multicast address", lease(3, { address: "224.0.0.1" }), "the address 224.0.0.1 of host-3 is a multicast address"],
  ["a loopback address", lease(3, { address: "127.0.0.1" }), "the address 127.0.0.1 of host-3 is a loopback address"],
  ["another VNI", { ...lease(3), vni: 7 }, "host-3 uses vxlan with VNI 7, this network vxlan with VNI 1"],
  [
    "another backend",
    { ...lease(3), backend: "host-gw", vni: undefined },
    "host-3 uses host-gw, this network vxlan with VNI 1",
  ],
  ["no family of the network", { ...lease(3), parts: {} }, "host-3 has no subnet of IPv4 or IPv6"],
];

test.each(offenders)("%s is refused by name, the others go on", (_, offender, reason) => {
  const made = roster(lease(2), lease(4));
  made.replace([lease(2), offender, lease(4)]);
  expect(made.refused.get("h3")).toBe(reason);
  expect(keys(made.peers)).toEqual(["h2", "h4"]);
});

test.each(offenders)("%s: who was in and changes to it is out", (_, offender) => {
  const made = roster(lease(2), lease(3));
  expect(made.upsert(offender)).toEqual({ upserted: [], removed: ["h3"] });
  expect(keys(made.peers)).toEqual(["h2"]);
});

test("who was there first stays, whatever the order in which all are told again", () => {
  const made = roster(lease(3));
  const thief = { ...lease(2, { subnet: "10.244.3.0/24" }), key: "a" };
  made.replace([thief, lease(1), lease(3)]);
  expect(keys(made.peers)).toEqual(["h3"]);
});

test("who was refused is taken in as soon as what stood in its way is gone", () => {
  const late = lease(3, { subnet: "10.244.2.0/24" });
  const made = roster(lease(2));
  expect(made.upsert(late)).toEqual({ upserted: [], removed: [] });
  expect(made.remove("h2")).toEqual({ upserted: [late], removed: ["h2"] });
  expect([...made.refused]).toEqual([]);
});

test("a host that changes its address is the same peer", () => {
  const made = roster(lease(2));
  const moved = lease(2, { address: "192.0.2.77" });
  expect(made.upsert(moved)).toEqual({ upserted: [moved], removed: [] });
  expect(made.upsert(lease(3, { address: "192.0.2.2" })).upserted).toHaveLength(1);
});

test("only the families that the network has count", () => {
  const made = new Roster({ networks: { 4: NETWORKS[4] }, backend: VXLAN, own: lease(1) });
  made.replace([lease(2, { subnet6: "fd99::/64" })]);
  expect(Object.keys(made.peers[0]?.parts ?? {})).toEqual(["4"]);
});
