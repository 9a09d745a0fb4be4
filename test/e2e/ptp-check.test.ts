import { afterEach, describe, expect, it } from "vitest";
import { attach, check, ptpConf } from "./attachments.ts";
import type { Host } from "./host.ts";
import { world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

describe("CHECK of ptp", () => {
  it("names each thing that somebody broke, and passes what others added", async () => {
    host = await world();
    const conf = ptpConf({ mtu: 1400 });
    const result = await attach(host, conf, "a");
    const [hostEnd, containerEnd] = result.interfaces;
    const veth = hostEnd?.name ?? "";
    const mac = containerEnd?.mac ?? "";
    const hostMac = hostEnd?.mac ?? "";
    const inside = (command: string) => `ip -n a ${command}`;
    for (const [harm, repair, message] of [
      ["ip link add x0 type bridge", "ip link del x0", ""],
      [inside("addr add 10.200.0.1/32 dev eth0"), inside("addr del 10.200.0.1/32 dev eth0"), ""],
      [inside("route add 10.201.0.0/16 dev eth0"), inside("route del 10.201.0.0/16 dev eth0"), ""],
      [inside("rule add from 10.202.0.0/16 table 9"), inside("rule del from 10.202.0.0/16 table 9"), ""],
      [`ip route add 10.203.0.0/16 dev ${veth}`, `ip route del 10.203.0.0/16 dev ${veth}`, ""],
      [`ip addr add 10.204.0.1/32 dev ${veth}`, `ip addr del 10.204.0.1/32 dev ${veth}`, ""],
      [
        inside("link set eth0 address 02:00:00:00:00:01"),
        inside(`link set eth0 address ${mac}`),
        "eth0 has the MAC 02:00:00:00:00:01",
      ],
      [
        `ip link set ${veth} address 02:00:00:00:00:02`,
        `ip link set ${veth} address ${hostMac}`,
        `${veth} has the MAC 02:00:00:00:00:02`,
      ],
      [inside("link set eth0 mtu 1300"), inside("link set eth0 mtu 1400"), "eth0 has the MTU 1300, wanted 1400"],
      [`ip link set ${veth} mtu 1300`, `ip link set ${veth} mtu 1400`, `${veth} has the MTU 1300, wanted 1400`],
      [
        inside("route del default"),
        inside("route add default via 10.11.0.1"),
        "lacks the route 0.0.0.0/0 via 10.11.0.1",
      ],
      [
        inside("-6 route del default"),
        inside("-6 route add default via fd11::1 dev eth0"),
        "lacks the route ::/0 via fd11::1",
      ],
      [
        inside("route del 10.11.0.0/24"),
        inside("route add 10.11.0.0/24 via 10.11.0.1"),
        "lacks the route 10.11.0.0/24 via 10.11.0.1",
      ],
      [
        `ip addr del fd11::1/128 dev ${veth}`,
        `ip addr add fd11::1/128 dev ${veth} nodad`,
        `${veth} lacks the gateway address fd11::1/128`,
      ],
      [
        `ip addr del 10.11.0.1/32 dev ${veth}`,
        `ip addr add 10.11.0.1/32 dev ${veth}; ip route replace 10.11.0.2 dev ${veth}`,
        `${veth} lacks the gateway address 10.11.0.1/32`,
      ],
      [
        `ip route del 10.11.0.2`,
        `ip route add 10.11.0.2 dev ${veth}`,
        `the host lacks the route 10.11.0.2/32 to ${veth}`,
      ],
      [`ip route del fd11::2`, `ip route add fd11::2 dev ${veth}`, `the host lacks the route fd11::2/128 to ${veth}`],
      [
        "echo 0 >/proc/sys/net/ipv4/ip_forward",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        "net.ipv4.ip_forward is 0, wanted 1: somebody turned forwarding off",
      ],
      [
        "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding",
        "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
        "net.ipv6.conf.all.forwarding is 0, wanted 1",
      ],
      [
        "rm /var/lib/cni/networks/net1/10.11.0.2",
        "printf 'a\\r\\neth0' >/var/lib/cni/networks/net1/10.11.0.2",
        "10.11.0.2",
      ],
    ] as const) {
      await host.sh(harm);
      const said = await check(host, conf, result, "a");
      if (message === "") expect(said, harm).toBe("");
      else expect(said, harm).toContain(message);
      await host.sh(repair);
      expect(await check(host, conf, result, "a"), `after ${repair}`).toBe("");
    }
  });

  it.each([
    ["the address", "ip -n a addr del 10.11.0.2/24 dev eth0", "lacks the address 10.11.0.2/24"],
    ["the gateway's route", "ip -n a route del 10.11.0.1 dev eth0 scope link", "lacks the route 10.11.0.1/32"],
    ["the container's end, set down", "ip -n a link set eth0 down", "eth0 in /run/netns/a is down"],
    [
      "the host's end, set down",
      "ip link set $(ip -o link | grep -o 'veth[0-9a-f]*' | head -1) down",
      "is down, wanted up",
    ],
    ["the pair", "ip -n a link del eth0", "eth0 is gone"],
    [
      "the pair, by one of another kind",
      "ip -n a link del eth0; ip -n a link add eth0 type bridge",
      "is bridge, wanted a veth",
    ],
    [
      "the peer",
      "ip -n a link del eth0; ip -n a link add eth0 type veth; ip -n a link set eth0 up; ip -n a link set veth0 up",
      "the host's end of the veth pair veth",
    ],
  ])("names %s", async (_, harm, message) => {
    host = await world();
    const conf = ptpConf();
    const { interfaces, ...result } = await attach(host, conf, "a");
    // Another MAC is told first.
    const withoutMac = interfaces.map(({ mac: _mac, ...rest }) => rest);
    await host.sh(harm);
    expect(await check(host, conf, { ...result, interfaces: withoutMac }, "a")).toContain(message);
  });

  it.each(["iptables", "nftables"])("names the masquerade of %s", async (ipMasqBackend) => {
    host = await world();
    const conf = ptpConf({ ipMasq: true, ipMasqBackend });
    const result = await attach(host, conf, "a");
    expect(await check(host, conf, result, "a")).toBe("");
    await host.sh("nft flush ruleset; iptables -t nat -F; ip6tables -t nat -F");
    expect(await check(host, conf, result, "a")).toMatch(/masquerade|missing|gone/i);
  });

  it("takes the MAC and MTU that a plugin behind it set, as the result tells them", async () => {
    host = await world();
    const conf = ptpConf({ mtu: 1400 });
    const result = await attach(host, conf, "a");
    const changed = { mac: "02:00:00:00:00:07", mtu: 1350 };
    await host.sh("ip -n a link set eth0 address 02:00:00:00:00:07 mtu 1350");
    const interfaces = result.interfaces.map((one) => (one.name === "eth0" ? { ...one, ...changed } : one));
    expect(await check(host, conf, { ...result, interfaces }, "a")).toBe("");
  });
});
