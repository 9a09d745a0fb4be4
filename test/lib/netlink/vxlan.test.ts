import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { hasErrno } from "../../../lib/errors.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { addrReplace } from "../../../lib/netlink/addr.ts";
import { RTN_BLACKHOLE } from "../../../lib/netlink/constants.ts";
import { fdbDel, fdbList, fdbReplace } from "../../../lib/netlink/fdb.ts";
import { bridge, vxlan, vxlanChanges, vxlanOf } from "../../../lib/netlink/kinds.ts";
import { type Link, linkAdd, linkDel, linkGet, linkSet } from "../../../lib/netlink/link.ts";
import { routeDel, routeGet, routeList, routeReplace } from "../../../lib/netlink/route.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { setTxChecksum, txChecksum } from "../../../lib/sys/ethtool.ts";
import { inside, type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
let netns: Netns;
let socket: RtSocket;
let br0: number;

beforeAll(async () => {
  host = await Host.create();
  netns = openNetns(`/proc/${host.pid}/ns/net`);
  socket = RtSocket.open(netns);
  linkAdd(socket, { name: "br0", kind: bridge(), up: true });
  br0 = link("br0").index;
  addrReplace(socket, { index: br0, cidr: parseCidr("192.0.2.1/24") });
  addrReplace(socket, { index: br0, cidr: parseCidr("fd50::1/64"), noDad: true });
});

afterAll(async () => {
  socket.close();
  netns.close();
  await host.destroy();
});

afterEach(() => {
  for (const name of ["vx", "a", "b", "br1"]) linkDel(socket, name);
});

function link(name: string): Link {
  const found = linkGet(socket, name);
  if (found === undefined) throw new Error(`no link ${name}`);
  return found;
}

describe("VXLAN devices", () => {
  it.each([
    ["over IPv4", { vni: 1, port: 8472, local: parseAddress("192.0.2.1"), learning: false, gbp: false }],
    ["over IPv6", { vni: 16_777_215, port: 4789, local: parseAddress("fd50::1"), learning: true, gbp: false }],
    ["with group based policy", { vni: 7, port: 8473, learning: false, gbp: true }],
  ])("are made and read back %s", (_, settings) => {
    const wanted = { ...settings, link: br0 };
    linkAdd(socket, { name: "vx", kind: vxlan(wanted), mac: "0a:00:00:00:00:01", mtu: 1400, up: true });
    expect(vxlanOf(link("vx"))).toEqual(wanted);
    expect(link("vx")).toMatchObject({ mac: "0a:00:00:00:00:01", mtu: 1400, up: true });
  });

  it("are what `ip link add type vxlan` makes", async () => {
    linkAdd(socket, {
      name: "a",
      kind: vxlan({ vni: 1, port: 8472, local: parseAddress("192.0.2.1"), link: br0, learning: false }),
    });
    await host.sh("ip link add name b type vxlan id 2 dstport 8472 local 192.0.2.1 dev br0 nolearning");
    const details = async (name: string) =>
      /vxlan id (.*)/.exec(await host.ok(["ip", "-d", "link", "show", name]))?.[1];
    expect((await details("a"))?.replace(/^1 /, "2 ")).toEqual(await details("b"));
    expect(vxlanOf(link("b"))).toEqual({ ...vxlanOf(link("a")), vni: 2 });
    expect(vxlanOf(link("br0"))).toBeUndefined();
  });

  it("take another local address, link and learning while they are up, and keep their entries", () => {
    linkAdd(socket, {
      name: "vx",
      kind: vxlan({ vni: 1, port: 8472, local: parseAddress("192.0.2.1"), link: br0, learning: false }),
      up: true,
    });
    const { index } = link("vx");
    fdbReplace(socket, { index, mac: "0a:00:00:00:00:02", dst: parseAddress("192.0.2.2") });
    linkAdd(socket, { name: "br1", kind: bridge(), up: true });
    linkSet(socket, index, {
      kind: vxlanChanges({ local: parseAddress("192.0.2.9"), link: link("br1").index, learning: true }),
    });
    expect(link("vx")).toMatchObject({ index, up: true });
    expect(vxlanOf(link("vx"))).toMatchObject({
      vni: 1,
      port: 8472,
      local: parseAddress("192.0.2.9"),
      link: link("br1").index,
      learning: true,
    });
    expect(fdbList(socket, index)).toHaveLength(1);
  });

  it("are refused where another has the VNI and port", () => {
    linkAdd(socket, { name: "vx", kind: vxlan({ vni: 1, port: 8472, learning: false }) });
    let thrown: unknown;
    try {
      linkAdd(socket, { name: "vx2", kind: vxlan({ vni: 1, port: 8472, learning: false }) });
    } catch (error) {
      thrown = error;
    }
    expect(hasErrno(thrown, "EEXIST")).toBe(true);
  });
});

describe("FDB entries", () => {
  it("lead a MAC to one host, also where it led to another, and go", async () => {
    linkAdd(socket, { name: "vx", kind: vxlan({ vni: 1, port: 8472, learning: false }), up: true });
    const { index } = link("vx");
    const entry = { index, mac: "0a:00:00:00:00:02", dst: parseAddress("192.0.2.2") };
    fdbReplace(socket, entry);
    fdbReplace(socket, { ...entry, dst: parseAddress("192.0.2.3") });
    expect(fdbList(socket, index)).toEqual([{ ...entry, dst: parseAddress("192.0.2.3") }]);
    expect(await host.ok(["bridge", "fdb", "show", "dev", "vx"])).toBe(
      "0a:00:00:00:00:02 dst 192.0.2.3 self permanent\n",
    );
    fdbDel(socket, entry);
    expect(fdbList(socket, index)).toHaveLength(1);
    expect(fdbDel(socket, { ...entry, dst: parseAddress("192.0.2.3") })).toBe(true);
    expect(fdbDel(socket, entry)).toBe(false);
    expect(fdbList(socket, index)).toEqual([]);
  });

  it("that the device learned are told from those that somebody made", async () => {
    linkAdd(socket, { name: "vx", kind: vxlan({ vni: 1, port: 8472, learning: true }), up: true });
    const { index } = link("vx");
    await host.sh("bridge fdb add 0a:00:00:00:00:05 dev vx dst 192.0.2.5 dynamic self");
    await host.sh("bridge fdb add 0a:00:00:00:00:06 dev vx dst 192.0.2.6 static self");
    const learned = new Map(fdbList(socket, index).map((entry) => [entry.mac, entry.learned]));
    expect(learned).toEqual(
      new Map([
        ["0a:00:00:00:00:05", true],
        ["0a:00:00:00:00:06", undefined],
      ]),
    );
  });
});

describe("where packets go", () => {
  it("is the link, the gateway and the source", () => {
    routeReplace(socket, { dst: parseCidr("10.20.0.0/16"), gateway: parseAddress("192.0.2.254"), dev: br0 });
    expect(routeGet(socket, parseAddress("10.20.1.1"))).toEqual({
      dev: br0,
      gateway: parseAddress("192.0.2.254"),
      src: parseAddress("192.0.2.1"),
      type: 1,
    });
    expect(routeGet(socket, parseAddress("192.0.2.7"))).toEqual({ dev: br0, src: parseAddress("192.0.2.1"), type: 1 });
    expect(routeGet(socket, parseAddress("fd50::7"))).toEqual({ dev: br0, src: parseAddress("fd50::1"), type: 1 });
    expect(routeGet(socket, parseAddress("192.0.2.1"))).toMatchObject({ type: 2 });
  });

  it("by a gateway of the other family is told, too", async () => {
    await host.sh("ip route add 10.21.0.0/16 via inet6 fd50::fe dev br0");
    expect(routeGet(socket, parseAddress("10.21.0.1"))).toMatchObject({ dev: br0, gateway: parseAddress("fd50::fe") });
    expect(routeList(socket).find((route) => route.dst.prefix === 16 && route.gateway?.family === 6)?.gateway).toEqual(
      parseAddress("fd50::fe"),
    );
  });

  it.each(["unreachable", "blackhole", "prohibit"])("is nowhere by a route of type %s", async (type) => {
    await host.sh(`ip route add ${type} 10.66.0.0/16; ip route add ${type} fd66::/64`);
    expect(routeGet(socket, parseAddress("10.66.0.1"))).toBeUndefined();
    expect(routeGet(socket, parseAddress("fd66::1"))).toBeUndefined();
    await host.sh(`ip route del ${type} 10.66.0.0/16; ip route del ${type} fd66::/64`);
  });

  it("is nowhere without a route", () => {
    expect(routeGet(socket, parseAddress("203.0.113.1"))).toBeUndefined();
    expect(routeGet(socket, parseAddress("2001:db8::1"))).toBeUndefined();
  });
});

it.each(["10.99.0.0/16", "fd99::/64"])("a blackhole for %s is set, seen as one, and deleted", (text) => {
  const route = { dst: parseCidr(text), type: RTN_BLACKHOLE };
  routeReplace(socket, route);
  routeReplace(socket, route);
  const found = routeList(socket).filter(({ type }) => type === RTN_BLACKHOLE);
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({ ...route, protocol: 3 });
  expect(routeDel(socket, route)).toBe(true);
  expect(routeDel(socket, route)).toBe(false);
});

describe("checksums of a device's packets", () => {
  it("are switched off and on", () => {
    linkAdd(socket, { name: "vx", kind: vxlan({ vni: 1, port: 8472, learning: false }) });
    const seen = () => inside(netns, () => txChecksum("vx"));
    expect(seen()).toBe(true);
    inside(netns, () => setTxChecksum("vx", false));
    expect(seen()).toBe(false);
    inside(netns, () => setTxChecksum("vx", false));
    expect(seen()).toBe(false);
    inside(netns, () => setTxChecksum("vx", true));
    expect(seen()).toBe(true);
  });

  it("of a device that is not there are an error that names it", () => {
    expect(() => inside(netns, () => setTxChecksum("nowhere", false))).toThrow(/nowhere.*ENODEV/);
    expect(() => inside(netns, () => txChecksum("a-name-of-sixteen"))).toThrow(/a-name-of-sixteen/);
  });
});
