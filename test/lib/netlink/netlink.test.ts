import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TsnetError } from "../../../lib/errors.ts";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { addrAdd, addrDel, addrList, addrReplace } from "../../../lib/netlink/addr.ts";
import { bridge, veth } from "../../../lib/netlink/kinds.ts";
import { linkAdd, linkDel, linkGet, linkList, linkSet } from "../../../lib/netlink/link.ts";
import { neighDel, neighList, neighReplace } from "../../../lib/netlink/neigh.ts";
import { portOf, portSet } from "../../../lib/netlink/port.ts";
import { routeAdd, routeDel, routeList, routeReplace } from "../../../lib/netlink/route.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
let hostNetns: Netns;
let socket: RtSocket;

beforeAll(async () => {
  host = await Host.create();
  hostNetns = openNetns(`/proc/${host.pid}/ns/net`);
  socket = RtSocket.open(hostNetns);
});

afterAll(async () => {
  socket.close();
  hostNetns.close();
  await host.destroy();
});

function thrownBy(work: () => unknown): TsnetError {
  try {
    work();
  } catch (error) {
    if (error instanceof TsnetError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("links", () => {
  it("makes a bridge as `ip link` shows it", async () => {
    linkAdd(socket, { name: "br0", kind: bridge(), mac: "02:00:00:00:00:01", mtu: 1400, up: true });
    const link = linkGet(socket, "br0");
    expect(link).toMatchObject({ name: "br0", kind: "bridge", mac: "02:00:00:00:00:01", mtu: 1400, up: true });
    expect(await host.ok(["ip", "-d", "link", "show", "br0"])).toMatch(
      /mtu 1400[\s\S]*link\/ether 02:00:00:00:00:01[\s\S]*bridge/,
    );
  });

  it("puts a veth's peer straight into another namespace, under its final name", async () => {
    await host.addNetns("peer");
    const netns = openNetns(`/proc/${host.pid}/root/run/netns/peer`);
    linkAdd(socket, {
      name: "v0",
      kind: veth({ name: "eth0", netns, mac: "02:00:00:00:00:02", mtu: 1300 }),
      mtu: 1300,
    });
    using inner = RtSocket.open(netns);
    expect(linkGet(inner, "eth0")).toMatchObject({
      kind: "veth",
      mac: "02:00:00:00:00:02",
      mtu: 1300,
      peerIndex: linkGet(socket, "v0")?.index,
    });
    expect(linkGet(socket, "eth0")).toBeUndefined();
    netns.close();
  });

  it("changes flags, master, alias and port settings, and reads them back", () => {
    const master = linkGet(socket, "br0")?.index ?? 0;
    linkSet(socket, "v0", { up: true, promisc: true, master, alias: "tsnet net c1 eth0" });
    const index = linkGet(socket, "v0")?.index ?? 0;
    portSet(socket, index, { hairpin: true, isolated: true });
    const link = linkGet(socket, "v0");
    expect(link).toMatchObject({ up: true, promisc: true, master, alias: "tsnet net c1 eth0" });
    expect(link === undefined ? undefined : portOf(link)).toEqual({ hairpin: true, isolated: true });
    linkSet(socket, index, { master: 0, promisc: false });
    expect(linkGet(socket, index)).toMatchObject({ master: undefined, promisc: false });
  });

  it("lists every link once", () => {
    expect(
      linkList(socket)
        .map((link) => link.name)
        .sort(),
    ).toEqual(["br0", "lo", "v0"]);
  });

  it("says in the kernel's words what was refused", () => {
    expect(thrownBy(() => linkAdd(socket, { name: "br0", kind: bridge() }))).toMatchObject({
      code: "exists",
      errno: "EEXIST",
    });
    const unknown = thrownBy(() => linkAdd(socket, { name: "x0", kind: { kind: "nosuchkind" } }));
    expect(unknown.code).toBe("kernel-lacks");
    expect(unknown.message).toBe("add link x0 type nosuchkind: Unknown device type (EOPNOTSUPP)");
  });

  it("deletes a link once, and finds an absent one fine", () => {
    linkAdd(socket, { name: "gone", kind: bridge() });
    expect(linkDel(socket, "gone")).toBe(true);
    expect(linkDel(socket, "gone")).toBe(false);
    expect(linkGet(socket, "gone")).toBeUndefined();
  });
});

describe("addresses", () => {
  it.each(["10.9.0.1/24", "fd00:9::1/64"])("puts %s on a link and takes it off", (text) => {
    const index = linkGet(socket, "br0")?.index ?? 0;
    const cidr = parseCidr(text);
    expect(addrAdd(socket, { index, cidr, noDad: true })).toBe(true);
    expect(addrAdd(socket, { index, cidr })).toBe(false);
    addrReplace(socket, { index, cidr, noDad: true });
    const mine = () => addrList(socket, { index, family: cidr.address.family }).map((addr) => formatCidr(addr.cidr));
    expect(mine()).toContain(text);
    expect(addrDel(socket, index, cidr)).toBe(true);
    expect(addrDel(socket, index, cidr)).toBe(false);
    expect(mine()).not.toContain(text);
  });

  it("lists those of one link only", () => {
    expect(
      addrList(socket, { index: 1 })
        .map((addr) => formatCidr(addr.cidr))
        .sort(),
    ).toEqual(["127.0.0.1/8", "::1/128"]);
    expect(addrList(socket, { index: 99999 })).toEqual([]);
  });
});

describe("routes", () => {
  it("sets a route with gateway, metric, MTU and table as `ip route` shows it", async () => {
    const index = linkGet(socket, "br0")?.index ?? 0;
    addrReplace(socket, { index, cidr: parseCidr("10.9.0.1/24") });
    const route = {
      dst: parseCidr("10.20.0.0/16"),
      gateway: parseAddress("10.9.0.2"),
      dev: index,
      priority: 50,
      mtu: 1300,
      advmss: 1200,
      table: 100,
    };
    expect(routeAdd(socket, route)).toBe(true);
    expect(routeAdd(socket, route)).toBe(false);
    expect(await host.ok(["ip", "route", "show", "table", "100"])).toMatch(
      /^10.20.0.0\/16 via 10.9.0.2 dev br0 metric 50 .*mtu 1300 advmss 1200/,
    );
    expect(routeList(socket).find((one) => one.table === 100)).toMatchObject({ ...route, protocol: 3, scope: 0 });
    routeReplace(socket, { ...route, mtu: 1350 });
    expect(
      routeList(socket)
        .filter((one) => one.table === 100)
        .map((one) => one.mtu),
    ).toEqual([1350]);
    expect(routeDel(socket, route)).toBe(true);
    expect(routeDel(socket, route)).toBe(false);
  });

  it("reaches a gateway beyond the link's addresses with onlink, and says why not without it", () => {
    const index = linkGet(socket, "br0")?.index ?? 0;
    const route = { dst: parseCidr("10.30.0.0/16"), gateway: parseAddress("192.168.77.1"), dev: index };
    expect(thrownBy(() => routeAdd(socket, route)).message).toBe(
      "add route 10.30.0.0/16 via 192.168.77.1: Nexthop has invalid gateway (ENETUNREACH)",
    );
    routeAdd(socket, { ...route, onlink: true });
    expect(routeList(socket, { family: 4 }).find((one) => formatCidr(one.dst) === "10.30.0.0/16")?.onlink).toBe(true);
    routeDel(socket, route);
  });

  it("sets default routes of both families", () => {
    const index = linkGet(socket, "br0")?.index ?? 0;
    addrReplace(socket, { index, cidr: parseCidr("fd00:9::1/64"), noDad: true });
    for (const [dst, gateway] of [
      ["0.0.0.0/0", "10.9.0.2"],
      ["::/0", "fd00:9::2"],
    ] as const) {
      routeAdd(socket, { dst: parseCidr(dst), gateway: parseAddress(gateway), dev: index });
      expect(routeList(socket).some((one) => formatCidr(one.dst) === dst && one.gateway !== undefined)).toBe(true);
      expect(routeDel(socket, { dst: parseCidr(dst) })).toBe(true);
    }
  });
});

describe("neighbours", () => {
  it("sets a permanent entry and removes it", () => {
    const index = linkGet(socket, "br0")?.index ?? 0;
    const address = parseAddress("10.9.0.77");
    neighReplace(socket, { index, address, mac: "02:00:00:00:00:77" });
    const mine = () => neighList(socket).filter((entry) => formatAddress(entry.address) === "10.9.0.77");
    expect(mine()).toEqual([{ index, address, mac: "02:00:00:00:00:77", permanent: true }]);
    expect(neighDel(socket, index, address)).toBe(true);
    expect(neighDel(socket, index, address)).toBe(false);
  });
});
