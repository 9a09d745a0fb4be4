import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { addrReplace } from "../../../lib/netlink/addr.ts";
import { RtBatch } from "../../../lib/netlink/batch.ts";
import { type RtEvent, type RtEvents, rtEvents } from "../../../lib/netlink/events.ts";
import { fdbReplace } from "../../../lib/netlink/fdb.ts";
import { bridge, veth, vxlan } from "../../../lib/netlink/kinds.ts";
import { linkAdd, linkDel, linkGet, linkSet } from "../../../lib/netlink/link.ts";
import { neighReplace } from "../../../lib/netlink/neigh.ts";
import { routeReplace } from "../../../lib/netlink/route.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
let netns: Netns;
let socket: RtSocket;
let events: RtEvents;
let index: number;

beforeAll(async () => {
  host = await Host.create();
  netns = openNetns(`/proc/${host.pid}/ns/net`);
  socket = RtSocket.open(netns);
});

afterAll(async () => {
  socket.close();
  netns.close();
  await host.destroy();
});

beforeEach(() => {
  linkAdd(socket, { name: "vx", kind: vxlan({ vni: 1, port: 8472, learning: false }), up: true });
  index = linkGet(socket, "vx")?.index ?? 0;
  addrReplace(socket, { index, cidr: parseCidr("10.244.0.0/32") });
  events = rtEvents({ groups: ["link", "addr4", "addr6", "route4", "route6", "neigh"], netns });
});

afterEach(() => {
  events.close();
  linkDel(socket, "vx");
});

/** What of the device was told of, in words. */
function told(): readonly string[] {
  return events.poll().flatMap((event) => inWords(event) ?? []);
}

function inWords(event: RtEvent): string | undefined {
  const gone = "gone" in event && event.gone ? "-" : "+";
  switch (event.kind) {
    case "link":
      return event.link.index === index ? `${gone}link ${event.link.up ? "up" : "down"} ${event.link.mtu}` : undefined;
    case "addr":
      return event.addr.index === index ? `${gone}addr ${formatCidr(event.addr.cidr)}` : undefined;
    case "route":
      return event.route.dev === index && event.route.table === 254 && !formatCidr(event.route.dst).startsWith("f")
        ? `${gone}route ${formatCidr(event.route.dst)}`
        : undefined;
    case "neigh":
      return event.neigh.index === index && event.neigh.permanent ? `${gone}neigh ${event.neigh.mac}` : undefined;
    case "fdb":
      return event.entry.index === index ? `${gone}fdb ${event.entry.mac}` : undefined;
    case "lost":
      return "lost";
  }
}

it("tells of entries that are made and deleted, in order", async () => {
  const mac = "0a:00:00:00:00:02";
  const gateway = parseAddress("10.244.2.0");
  neighReplace(socket, { index, address: gateway, mac });
  fdbReplace(socket, { index, mac, dst: parseAddress("192.0.2.2") });
  routeReplace(socket, { dst: parseCidr("10.244.2.0/24"), gateway, dev: index, onlink: true });
  expect(told()).toEqual([`+neigh ${mac}`, `+fdb ${mac}`, "+route 10.244.2.0/24"]);
  expect(told()).toEqual([]);
  await host.sh(`ip route del 10.244.2.0/24; bridge fdb del ${mac} dev vx dst 192.0.2.2`);
  expect(told()).toEqual(["-route 10.244.2.0/24", `-fdb ${mac}`]);
});

it("tells of a neighbour that is no longer permanent or gone", async () => {
  const mac = "0a:00:00:00:00:02";
  neighReplace(socket, { index, address: parseAddress("10.244.2.0"), mac });
  told();
  await host.sh("ip neigh del 10.244.2.0 dev vx");
  const mine = events.poll().filter((event) => event.kind === "neigh" && event.neigh.index === index);
  expect(mine.length).toBeGreaterThan(0);
  expect(mine.every((event) => event.kind === "neigh" && (event.gone || !event.neigh.permanent))).toBe(true);
});

it("tells of the device's MTU, its going down and up, its addresses and its end", () => {
  linkSet(socket, index, { mtu: 1400 });
  expect(told()).toEqual(["+link up 1400"]);
  addrReplace(socket, { index, cidr: parseCidr("10.244.1.0/32") });
  expect(told()).toEqual(["+addr 10.244.1.0/32"]);
  linkSet(socket, index, { up: false });
  expect(told()).toContain("+link down 1400");
  linkSet(socket, index, { up: true });
  expect(told()).toContain("+link up 1400");
  linkDel(socket, index);
  expect(told()).toContain("-link down 1400");
});

it("a link that leaves its bridge is not told of as gone", () => {
  linkAdd(socket, { name: "br0", kind: bridge() });
  linkAdd(socket, { name: "v0", kind: veth({ name: "v1" }), master: linkGet(socket, "br0")?.index ?? 0 });
  const v0 = linkGet(socket, "v0")?.index;
  events.poll();
  linkSet(socket, "v0", { master: 0 });
  const ofV0 = events.poll().filter((event) => event.kind === "link" && event.link.index === v0);
  expect(ofV0.length).toBeGreaterThan(0);
  expect(ofV0.filter((event) => event.kind === "link" && event.gone)).toEqual([]);
  for (const name of ["v0", "br0"]) linkDel(socket, name);
});

it("holds thousands of events, and says so where some were lost", () => {
  const make = (count: number, dst: string) => {
    const batch = new RtBatch();
    for (let i = 0; i < count; i++) {
      const mac = `0a:00:00:00:${hex(i >> 8)}:${hex(i & 255)}`;
      batch.fdbReplace({ index, mac, dst: parseAddress(dst) });
    }
    expect(batch.commit(socket)).toEqual([]);
  };
  make(10_000, "192.0.2.1");
  expect(told().length).toBe(10_000);
  make(50_000, "192.0.2.2");
  expect(told()).toContain("lost");
  expect(told()).toEqual([]);
  make(1, "192.0.2.3");
  expect(told()).toEqual(["+fdb 0a:00:00:00:00:00"]);
});

const hex = (n: number) => n.toString(16).padStart(2, "0");
