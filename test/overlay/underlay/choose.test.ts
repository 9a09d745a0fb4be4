import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Address, type Family, formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { valuesOf } from "../../../overlay/parts.ts";
import type { UnderlaySettings } from "../../../overlay/settings.ts";
import type { Parts } from "../../../overlay/types.ts";
import { chooseUnderlay } from "../../../overlay/underlay/choose.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
let netns: Netns;
let socket: RtSocket;

beforeAll(async () => {
  host = await Host.create();
  // eth0: two networks, IPv6 temporary, deprecated and lasting; eth1: IPv4 alone, another MTU; eth2: IPv6 alone;
  // flannel.1: a device of the overlay, which never leads to other hosts.
  await host.sh(`
    for n in 0 1 2; do ip link add eth$n type veth peer name peer$n; ip link set eth$n up; ip link set peer$n up; done
    ip address add 169.254.7.7/16 dev eth0; ip address add 192.0.2.1/24 dev eth0; ip address add 198.51.100.1/24 dev eth0
    ip address add fd50::dead/64 dev eth0 nodad preferred_lft 0; ip address add fd50::1/64 dev eth0 nodad
    ip address add 203.0.113.1/24 dev eth1; ip link set eth1 mtu 9000
    ip address add fd51::1/64 dev eth2 nodad
    ip link add flannel.1 type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472
    ip address add 10.244.1.0/32 dev flannel.1; ip link set flannel.1 up`);
  netns = openNetns(`/proc/${host.pid}/ns/net`);
  socket = RtSocket.open(netns);
});

afterAll(async () => {
  socket.close();
  netns.close();
  await host.destroy();
});

/** The interface and its addresses; those that others are told behind `as` where they differ. */
function chosen(
  settings: Partial<UnderlaySettings>,
  families: readonly Family[] = [4],
  known: Parts<Address> = {},
): string {
  const none: UnderlaySettings = { interfaces: [], expressions: [], canReach: undefined, publicAddresses: {} };
  const { name, mtu, addresses, publicAddresses } = chooseUnderlay({ ...none, ...settings }, families, socket, known);
  const own = valuesOf(addresses).map(formatAddress).join(" ");
  const told = valuesOf(publicAddresses).map(formatAddress).join(" ");
  return `${name} ${mtu} ${own}${told === own ? "" : ` as ${told}`}`;
}

describe("row 18: the interface is the one that was meant", () => {
  it.each([
    ["eth0", [4], "eth0 1500 192.0.2.1"],
    ["eth0", [4, 6], "eth0 1500 192.0.2.1 fd50::1"],
    ["eth0", [6], "eth0 1500 fd50::1"],
    ["198.51.100.1", [4], "eth0 1500 198.51.100.1"],
    ["198.51.100.1", [4, 6], "eth0 1500 198.51.100.1 fd50::1"],
    ["fd50:0::1", [4, 6], "eth0 1500 192.0.2.1 fd50::1"],
    ["eth1", [4], "eth1 9000 203.0.113.1"],
  ] as const)("by name or address: %s for IPv%s", (name, families, expected) => {
    expect(chosen({ interfaces: [name] }, families)).toBe(expected);
  });

  it("of several names the first that is there", () => {
    expect(chosen({ interfaces: ["ens3", "192.0.2.99", "eth1", "eth0"] })).toBe("eth1 9000 203.0.113.1");
  });

  it.each([
    ["^eth[12]$", "eth1 9000 203.0.113.1"],
    ["^203\\.", "eth1 9000 203.0.113.1"],
    // An address is looked at before any name.
    ["1$", "eth0 1500 192.0.2.1"],
    ["th1", "eth1 9000 203.0.113.1"],
  ])("by expression: %s", (expression, expected) => {
    expect(chosen({ expressions: ["^nothing$", expression] })).toBe(expected);
  });

  it("by the route to an address, with the address that packets there have", () => {
    expect(chosen({ canReach: parseAddress("203.0.113.77") })).toBe("eth1 9000 203.0.113.1");
    expect(chosen({ canReach: parseAddress("198.51.100.77") })).toBe("eth0 1500 198.51.100.1");
  });

  it("by the public address, where an interface has it; behind a NAT others are told another", async () => {
    expect(chosen({ publicAddresses: { 4: parseAddress("203.0.113.1") } })).toBe("eth1 9000 203.0.113.1");
    expect(chosen({ interfaces: ["eth0"], publicAddresses: { 4: parseAddress("203.0.113.99") } })).toBe(
      "eth0 1500 192.0.2.1 as 203.0.113.99",
    );
  });

  it("by the default route, of several the preferred one", async () => {
    await host.sh("ip route add default via 203.0.113.254 metric 50; ip route add default via 192.0.2.254 metric 200");
    expect(chosen({})).toBe("eth1 9000 203.0.113.1");
    await host.sh("ip route del default via 203.0.113.254");
    expect(chosen({})).toBe("eth0 1500 192.0.2.1");
    expect(chosen({ publicAddresses: { 4: parseAddress("8.8.8.8") } })).toBe("eth0 1500 192.0.2.1 as 8.8.8.8");
    // The families share one interface; where only one has a default route it decides.
    expect(chosen({}, [4, 6])).toBe("eth0 1500 192.0.2.1 fd50::1");
    await host.sh("ip -6 route add default via fd51::fe dev eth2");
    expect(() => chosen({}, [4, 6])).toThrow(
      "the default routes of IPv4 and IPv6 leave by eth0 and eth2, the overlay by one: name it (--iface)",
    );
    await host.sh("ip route del default; ip -6 route del default");
  });
});

describe("the address by which others know this host stays", () => {
  const known = { 6: parseAddress("fd51::1") };
  const eth2 = { interfaces: ["eth2"] };

  it("while another comes and goes that the kernel shows before it", async () => {
    await host.sh("ip address add fd51::99/128 dev eth2 nodad");
    expect(chosen(eth2, [6], known)).toBe("eth2 1500 fd51::1");
    expect(chosen({ expressions: ["^fd51"] }, [6], known)).toBe("eth2 1500 fd51::1");
    await host.sh("ip address change fd51::1/64 dev eth2 preferred_lft 0");
    expect(chosen(eth2, [6], known), "one that is deprecated does not").toBe("eth2 1500 fd51::99");
    await host.sh("ip address del fd51::99/128 dev eth2");
    expect(chosen(eth2, [6], known)).toBe("eth2 1500 fd51::1");
  });

  it("and while there is none, an address of one link is none", async () => {
    await host.sh("ip address del fd51::1/64 dev eth2; until ip address show eth2 | grep -q fe80; do sleep 0.1; done");
    expect(() => chosen(eth2, [6], known)).toThrow(/^interface eth2 has no IPv6 address, .* \(it has fe80::/);
    await host.sh("ip address add fd51::1/64 dev eth2 nodad");
    expect(chosen(eth2, [6], known)).toBe("eth2 1500 fd51::1");
  });
});

describe("who finds none is told what there is", () => {
  it.each([
    ["a name", { interfaces: ["ens3", "10.0.0.9"] }, "no interface is called or has ens3 or 10.0.0.9"],
    ["an expression", { expressions: ["^ens"] }, "no interface's name or address matches ^ens"],
    ["a route", { canReach: parseAddress("8.8.8.8") }, "no route leads to 8.8.8.8"],
    ["a default route", {}, "no default route says which interface leads to the other hosts: name one"],
  ])("%s", (_, settings, message) => {
    const wanted = {
      message: expect.stringContaining(`${message}; there are lo (127.0.0.1, ::1), `),
      code: "not-found",
    };
    expect(() => chosen(settings)).toThrow(expect.objectContaining(wanted));
    expect(() => chosen(settings)).toThrow("eth1 (203.0.113.1");
    expect(() => chosen(settings)).not.toThrow("flannel.1");
  });

  it("the interface has no address of a family", () => {
    expect(() => chosen({ interfaces: ["eth2"] })).toThrow(
      /^interface eth2 has no IPv4 address, which the network's IPv4 part needs \(it has fd51::1, .*\): give it one, or name another interface \(--iface\)$/,
    );
  });

  it("an expression that is none", () => {
    expect(() => chosen({ expressions: ["eth[0"] })).toThrow('"eth[0" is no regular expression for an interface');
  });
});
