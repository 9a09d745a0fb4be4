import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { addrReplace } from "../../../lib/netlink/addr.ts";
import { RtBatch } from "../../../lib/netlink/batch.ts";
import { RTN_BLACKHOLE, RTPROT_TSNET } from "../../../lib/netlink/constants.ts";
import { fdbList } from "../../../lib/netlink/fdb.ts";
import { vxlan } from "../../../lib/netlink/kinds.ts";
import { linkAdd, linkGet } from "../../../lib/netlink/link.ts";
import { neighList } from "../../../lib/netlink/neigh.ts";
import { routeList } from "../../../lib/netlink/route.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
let socket: RtSocket;
let index: number;

beforeAll(async () => {
  host = await Host.create();
  const netns = openNetns(`/proc/${host.pid}/ns/net`);
  socket = RtSocket.open(netns);
  netns.close();
  linkAdd(socket, { name: "vx", kind: vxlan({ vni: 1, port: 8472, learning: false }), up: true });
  index = linkGet(socket, "vx")?.index ?? 0;
  addrReplace(socket, { index, cidr: parseCidr("10.244.0.0/32") });
  addrReplace(socket, { index, cidr: parseCidr("fd00:244::/128"), noDad: true });
});

afterAll(async () => {
  socket.close();
  await host.destroy();
});

const hex = (n: number) => n.toString(16).padStart(2, "0");

/** The entries of peer `i`. */
function peer(i: number, family: 4 | 6) {
  const text = family === 4 ? `10.${i >> 8}.${i & 255}.0` : `fd01:${(i + 1).toString(16)}::`;
  const gateway = parseAddress(text);
  const mac = `0a:${hex(family)}:00:00:${hex(i >> 8)}:${hex(i & 255)}`;
  return {
    route: { dst: parseCidr(`${text}/${family === 4 ? 24 : 64}`), gateway, dev: index, onlink: true },
    neigh: { index, address: gateway, mac },
    fdb: { index, mac, dst: parseAddress(`192.168.${i >> 8}.${i & 255}`) },
  };
}

const viaDevice = (family: 4 | 6) =>
  routeList(socket, { family }).filter((route) => route.dev === index && route.gateway !== undefined);

describe.each([4, 6] as const)("a thousand peers of IPv%d", (family) => {
  const peers = Array.from({ length: 1000 }, (_, i) => i);

  it("are made in one go, and again where they are there, and deleted in one", () => {
    const batch = new RtBatch();
    for (let round = 0; round < 2; round++) {
      for (const { route, neigh, fdb } of peers.map((i) => peer(i, family))) {
        batch.neighReplace(neigh);
        batch.fdbReplace(fdb);
        batch.routeReplace(route);
      }
      expect(batch.size).toBe(3000);
      expect(batch.commit(socket)).toEqual([]);
      expect(batch.size).toBe(0);
    }
    const wanted = peers.map((i) => peer(i, family));
    const sorted = (texts: readonly string[]) => [...texts].sort();
    expect(sorted(viaDevice(family).map((route) => formatCidr(route.dst)))).toEqual(
      sorted(wanted.map(({ route }) => formatCidr(route.dst))),
    );
    const neighbours = neighList(socket, { index }).filter((entry) => entry.permanent);
    expect(sorted(neighbours.map((entry) => `${formatAddress(entry.address)} ${entry.mac}`))).toEqual(
      sorted(wanted.map(({ neigh }) => `${formatAddress(neigh.address)} ${neigh.mac}`)),
    );
    const byMac = (a: { mac: string }, b: { mac: string }) => (a.mac < b.mac ? -1 : 1);
    expect([...fdbList(socket, index)].sort(byMac)).toEqual(wanted.map(({ fdb }) => fdb).sort(byMac));

    for (const { route, neigh, fdb } of wanted) {
      batch.routeDel(route);
      batch.fdbDel(fdb);
      batch.neighDel(neigh);
    }
    expect(batch.commit(socket)).toEqual([]);
    expect([viaDevice(family), fdbList(socket, index)]).toEqual([[], []]);
    expect(neighList(socket, { index }).filter((entry) => entry.permanent)).toEqual([]);
  });
});

it("deletes what is gone already without a failure", () => {
  const batch = new RtBatch();
  for (const family of [4, 6] as const) {
    const { route, neigh, fdb } = peer(7, family);
    batch.routeDel(route);
    batch.neighDel(neigh);
    batch.fdbDel(fdb);
    batch.neighDel({ ...neigh, index: 99999 });
    batch.fdbDel({ ...fdb, index: 99999 });
    batch.routeDel({ ...route, dev: 99999 });
  }
  expect(batch.commit(socket)).toEqual([]);
});

it("names what the kernel refuses by its number, and makes the rest", () => {
  const batch = new RtBatch();
  const bad = new Map<number, string>();
  for (let i = 0; i < 300; i++) {
    const { route } = peer(i, 4);
    // Without onlink the gateway is on no link.
    if (i % 100 === 50) bad.set(batch.routeReplace({ ...route, onlink: false }), formatCidr(route.dst));
    else batch.routeReplace(route);
  }
  bad.set(batch.neighReplace({ ...peer(1, 4).neigh, index: 99999 }), "no such link");
  bad.set(batch.fdbReplace({ ...peer(1, 4).fdb, index: 1 }), "lo has no FDB");
  const failures = batch.commit(socket);
  expect(failures.map(({ number }) => number)).toEqual([...bad.keys()]);
  expect(failures.map(({ message }) => message)).toEqual([
    "replace route 10.0.50.0/24 via 10.0.50.0: Nexthop has invalid gateway (ENETUNREACH)",
    "replace route 10.0.150.0/24 via 10.0.150.0: Nexthop has invalid gateway (ENETUNREACH)",
    "replace route 10.0.250.0/24 via 10.0.250.0: Nexthop has invalid gateway (ENETUNREACH)",
    expect.stringMatching(/^replace neighbour 10\.0\.1\.0: .*\(E\w+\)$/),
    expect.stringMatching(/^replace fdb entry 0a:04:00:00:00:01: .*\(E\w+\)$/),
  ]);
  expect(viaDevice(4)).toHaveLength(297);
});

it("has room for a refusal of each of hundreds", () => {
  const batch = new RtBatch();
  for (let i = 0; i < 1000; i++) batch.routeReplace({ ...peer(i, 4).route, onlink: false });
  expect(batch.commit(socket).map(({ number }) => number)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
});

it("sets a route with all that it can have as `ip route` shows it", async () => {
  const batch = new RtBatch();
  batch.routeReplace({
    dst: parseCidr("10.77.1.5/16"),
    gateway: parseAddress("10.9.9.9"),
    dev: index,
    onlink: true,
    priority: 50,
    table: 1000,
    mtu: 1300,
    advmss: 1200,
    src: parseAddress("10.244.0.0"),
    protocol: RTPROT_TSNET,
  });
  batch.routeReplace({ dst: parseCidr("10.78.0.0/16"), type: RTN_BLACKHOLE, table: 1000 });
  batch.routeReplace({ dst: parseCidr("10.79.0.0/16"), dev: index, table: 1000 });
  expect(batch.commit(socket)).toEqual([]);
  expect((await host.ok(["ip", "route", "show", "table", "1000"])).replace(/ +$/gm, "").split("\n")).toEqual([
    "10.77.0.0/16 via 10.9.9.9 dev vx proto 116 src 10.244.0.0 metric 50 onlink mtu 1300 advmss 1200",
    "blackhole 10.78.0.0/16",
    "10.79.0.0/16 dev vx scope link",
    "",
  ]);
});

it("an fdb entry with a port, a VNI and a link of its own is deleted as it was listed", async () => {
  await host.sh("bridge fdb add 0a:00:00:00:99:01 dev vx dst 192.168.9.9 port 4789 vni 7 via lo self");
  const found = fdbList(socket, index);
  const mac = "0a:00:00:00:99:01";
  expect(found).toEqual([{ index, mac, dst: parseAddress("192.168.9.9"), port: 4789, vni: 7, link: 1 }]);
  const batch = new RtBatch();
  for (const entry of found) batch.fdbDel(entry);
  expect(batch.commit(socket)).toEqual([]);
  expect(fdbList(socket, index)).toEqual([]);
});
