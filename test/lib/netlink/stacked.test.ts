/**
 * The messages that make macvlans, ipvlans and VLANs, beside what `ip` of iproute2 6.1 sends: kept as it was seen by
 *
 *     strace -e trace=sendmsg -e write=all ip link add link m0 name eth0 netns c1 ...
 *
 * where m0 had the index 3 and the descriptor of c1 was 4. What is recorded is struct ifinfomsg and the attributes.
 */
import { AttrStream, parseAttributes } from "netlink/dist/structs";
import { expect, it } from "vitest";
import type { LinkKind } from "../../../lib/netlink/kinds.ts";
import { type Link, linkAdd, parseLink } from "../../../lib/netlink/link.ts";
import type { Request, RtSocket } from "../../../lib/netlink/socket.ts";
import { ipvlan, ipvlanModeOf, macvlan, macvlanOf, vlan, vlanIdOf } from "../../../lib/netlink/stacked.ts";
import type { Namespaces } from "../../../lib/plugin/netns.ts";
import { checkMaster } from "../../../lib/plugin/stacked.ts";
import type { Netns } from "../../../lib/sys/netns.ts";
import { checkMode } from "../../../plugins/ipvlan/verbs.ts";
import { checkVlan } from "../../../plugins/vlan/verbs.ts";

const NETNS: Netns = { path: "/run/netns/c1", fd: 4, inode: 1, close() {} };

const cases: readonly (readonly [
  command: string,
  kind: LinkKind,
  more: { mtu?: number; mac?: string },
  hex: string,
])[] = [
  [
    "ip link add link m0 name eth0 netns c1 mtu 1400 address 02:00:00:00:00:01 type macvlan mode bridge bcqueuelen 500",
    macvlan({ mode: "bridge", broadcastQueue: 500 }),
    { mtu: 1400, mac: "02:00:00:00:00:01" },
    "0000000000000000000000000000000008001c000400000008000400780500000a000100020000000001000008000500030000000900030065746830" +
      "00000000240012000b0001006d6163766c616e001400020008000700f40100000800010004000000",
  ],
  [
    "ip link add link m0 name eth0 netns c1 type macvlan mode private",
    macvlan({ mode: "private" }),
    {},
    "0000000000000000000000000000000008001c00040000000800050003000000090003006574683000000000" +
      "1c0012000b0001006d6163766c616e000c0002000800010001000000",
  ],
  [
    "ip link add link m0 name eth0 netns c1 mtu 1400 type ipvlan mode l3s",
    ipvlan("l3s"),
    { mtu: 1400 },
    "0000000000000000000000000000000008001c000400000008000400780500000800050003000000090003006574683000000000" +
      "240012000a0001006970766c616e00001400020006000100020000000600020000000000",
  ],
  [
    "ip link add link m0 name eth0 netns c1 type ipvlan mode l2",
    ipvlan("l2"),
    {},
    "0000000000000000000000000000000008001c00040000000800050003000000090003006574683000000000" +
      "240012000a0001006970766c616e00001400020006000100000000000600020000000000",
  ],
  [
    "ip link add link m0 name eth0 netns c1 mtu 1400 type vlan id 100",
    vlan(100),
    { mtu: 1400 },
    "0000000000000000000000000000000008001c000400000008000400780500000800050003000000090003006574683000000000" +
      "1800120008000100766c616e0c0002000600010064000000",
  ],
];

it.each(cases)("%s", (_, kind, more, hex) => {
  expect(attributesOf(messageOf(kind, more))).toEqual(attributesOf(Buffer.from(hex, "hex")));
});

it.each([
  [
    "macvlan",
    macvlanOf,
    [
      { mode: "bridge", broadcastQueue: 500 },
      { mode: "private", broadcastQueue: 0 },
    ],
  ],
  ["ipvlan", ipvlanModeOf, ["l3s", "l2"]],
  ["vlan", vlanIdOf, [100]],
] as const)(
  "a %s is read as it was made, and nothing else is read as one",
  (kind, read: (link: Link) => unknown, want) => {
    const found = cases.map(([, kind, more]) => read(parseLink(messageOf(kind, more))));
    expect(found.filter((one) => one !== undefined)).toEqual(want);
    expect(cases.filter(([command]) => command.includes(`type ${kind}`)).length).toBe(want.length);
  },
);

it("an ipvlan in another mode, and a link in another VLAN, fail CHECK", () => {
  const link = (kind: LinkKind) => parseLink(messageOf(kind, {}));
  checkMode(link(ipvlan("l3")), "l3");
  expect(() => checkMode(link(ipvlan("l3s")), "l3")).toThrow("eth0 is in ipvlan mode l3s, wanted l3");
  checkVlan(link(vlan(100)), 100);
  expect(() => checkVlan(link(vlan(101)), 100)).toThrow("eth0 is in VLAN 101, wanted 100");
});

it("a link that stands on another master than the config's fails CHECK, and so does one whose master is gone", () => {
  const link = parseLink(messageOf(ipvlan("l2"), {}));
  const config = { master: "m0", linkInContainer: false, mtu: undefined, ipamType: undefined };
  // This kernel makes no ipvlan: what it would say of the masters is given here.
  const socket = (index: number | undefined) =>
    ({ get: () => (index === undefined ? undefined : answer(index)) }) as unknown as RtSocket;
  const check = (index: number | undefined, master = config.master as string | undefined) =>
    checkMaster(link, { host: socket(index), container: socket(undefined) } as unknown as Namespaces, {
      ...config,
      master,
    });
  check(3);
  check(3, undefined);
  expect(() => check(4)).toThrow("eth0 does not stand on its master m0");
  expect(() => check(undefined)).toThrow("the master m0 of eth0 is gone");
  expect(() => check(undefined, undefined)).toThrow("of eth0 is gone");
});

/** What the kernel answers of a link m0. */
function answer(index: number): Buffer {
  const fixed = Buffer.alloc(16);
  fixed.writeInt32LE(index, 4);
  return Buffer.concat([fixed, Buffer.from("070003006d300000", "hex")]);
}

/** What `linkAdd` hands to the kernel. */
function messageOf(kind: LinkKind, more: object): Buffer {
  let sent: Request | undefined;
  const socket = { change: (request: Request) => (sent = request) } as unknown as RtSocket;
  linkAdd(socket, { name: "eth0", kind, link: 3, netns: NETNS, ...more });
  const stream = new AttrStream();
  if (sent !== undefined) stream.emit(sent.body);
  return Buffer.concat(stream.bufs);
}

/** The fixed part, and the attributes by number: their order means nothing. Those of the kind are nested twice. */
function attributesOf(message: Buffer): unknown {
  return {
    fixed: message.subarray(0, 16).toString("hex"),
    ...nested(message.subarray(16), [IFLA_LINKINFO, IFLA_INFO_DATA]),
  };
}

const IFLA_LINKINFO = 18;
const IFLA_INFO_DATA = 2;

function nested(bytes: Buffer, [inner, ...deeper]: readonly number[]): Record<number, unknown> {
  const all: Record<number, unknown> = {};
  parseAttributes(bytes, ({ type, data }) => {
    // The kind's name, which iproute2 sends without its NUL.
    const text = data.toString("hex");
    all[type] = type === inner ? nested(data, deeper) : inner === IFLA_INFO_DATA ? text.replace(/00$/, "") : text;
  });
  return all;
}
