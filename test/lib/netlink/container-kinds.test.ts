/**
 * The messages that make dummies, VRFs and rules, beside what `ip` of iproute2 6.1 sends: kept as it was seen by
 *
 *     strace -e trace=sendmsg,sendto -e write=all ip ...
 *
 * What is recorded is what follows struct nlmsghdr. Of a kind's name iproute2 leaves out the NUL, which the kernel does
 * not ask for; attributes are compared without it, and in any order.
 */
import { AttrStream, parseAttributes } from "netlink/dist/structs";
import { expect, it } from "vitest";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { dummy, vrf, vrfTableOf } from "../../../lib/netlink/kinds.ts";
import { linkAdd, parseLink } from "../../../lib/netlink/link.ts";
import { ruleAdd, ruleDel } from "../../../lib/netlink/rule.ts";
import type { Request, RtSocket } from "../../../lib/netlink/socket.ts";

const IFINFOMSG = 16;
const FIB_RULE_HDR = 12;
const IFLA_LINKINFO = 18;
const IFLA_INFO_DATA = 2;

it.each([
  ["ip link add d0 type dummy", "d0", dummy, `${"00".repeat(16)}0700030064300000100012000900010064756d6d79000000`],
  [
    "ip link add blue type vrf table 10",
    "blue",
    vrf(10),
    `${"00".repeat(16)}09000300626c7565000000001800120007000100767266000c000200080001000a000000`,
  ],
] as const)("%s", (_, name, kind, hex) => {
  const sent = sentBy((socket) => linkAdd(socket, { name, kind }));
  expect(sent.subarray(0, IFINFOMSG).toString("hex")).toBe("00".repeat(16));
  expect(attributesOf(sent.subarray(IFINFOMSG))).toEqual(attributesOf(Buffer.from(hex, "hex").subarray(IFINFOMSG)));
});

it("a VRF's table is read as it was made, and no other link is taken for one", () => {
  const shown = (kind: typeof dummy) => parseLink(sentBy((socket) => linkAdd(socket, { name: "x", kind })));
  expect(vrfTableOf(shown(vrf(4_000_000_000)))).toBe(4_000_000_000);
  expect(vrfTableOf(shown(dummy))).toBe(undefined);
});

it.each([
  [
    "ip rule add from 10.0.0.1 table 100",
    { src: "10.0.0.1/32", table: 100 },
    "020020006400000100000000080002000a000001",
  ],
  [
    "ip rule add from 10.0.0.2/32 table 1000 priority 5",
    { src: "10.0.0.2/32", table: 1000, priority: 5 },
    "020020000000000100000000080002000a00000208000f00e80300000800060005000000",
  ],
  [
    "ip -6 rule add from fd00::1 table 100 protocol 116",
    { src: "fd00::1/128", table: 100, protocol: 116 },
    "0a008000640000010000000014000200fd0000000000000000000000000000010500150074000000",
  ],
] as const)("%s", (_, { src, ...rest }, hex) => {
  const rule = { src: parseCidr(src), ...rest };
  expect(sentBy((socket) => ruleAdd(socket, rule)).toString("hex")).toBe(hex);
});

it("ip rule del from 10.0.0.1 table 100", () => {
  const sent = sentBy((socket) => ruleDel(socket, { src: parseCidr("10.0.0.1/32"), table: 100 }));
  expect(sent.toString("hex")).toBe("020020006400000000000000080002000a000001");
  expect(sent.length).toBe(FIB_RULE_HDR + 8);
});

/** What a call hands to the kernel. */
function sentBy(call: (socket: RtSocket) => void): Buffer {
  let sent: Request | undefined;
  call({ change: (request: Request) => (sent = request) } as unknown as RtSocket);
  const stream = new AttrStream();
  if (sent !== undefined) stream.emit(sent.body);
  const bytes = Buffer.concat(stream.bufs);
  // Up to where a next attribute would begin, as iproute2 sends it.
  return Buffer.concat([bytes], Math.ceil(bytes.length / 4) * 4);
}

/** Attributes by number, those within IFLA_LINKINFO taken apart. */
function attributesOf(bytes: Buffer, isInfo = false): ReadonlyMap<number, unknown> {
  const all = new Map<number, unknown>();
  parseAttributes(bytes, ({ type, data }) => {
    if (!isInfo && type === IFLA_LINKINFO) all.set(type, attributesOf(data, true));
    else if (isInfo && type === IFLA_INFO_DATA) all.set(type, attributesOf(data));
    else all.set(type, data.toString("hex").replace(/00$/, ""));
  });
  return all;
}
