/**
 * Row 14 of the known troubles: checksums of tunnelled packets that a card gets wrong. Played by rules on a router that
 * spoil them; and firewalls, which must not be taken for it.
 */
import { describe, expect, it } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import { type ChecksumVerdict, probeChecksum } from "../../../overlay/probe/offload.ts";
import { AT_B, openTunnel, type Tunnel } from "./tunnel.ts";

// Bits from the outer UDP header on: that itself, VXLAN's and Ethernet's headers (RFC 7348 section 5), then IP's.
const INNER = (8 + 8 + 14) * 8;
const IPV4 = { etherType: 0x0800, protocol: INNER + 9 * 8, tcp: INNER + 20 * 8 };
const IPV6 = { etherType: 0x86dd, protocol: INNER + 6 * 8, tcp: INNER + 40 * 8 };

/** Rules for a router that change TCP's checksum in what they match. */
function spoiling(match: (tcp: number) => string = () => ""): string {
  return [IPV4, IPV6]
    .map(
      ({ etherType, protocol, tcp }) =>
        `udp dport 8472 @th,${INNER - 16},16 ${etherType} @th,${protocol},8 6 ${match(tcp)} @th,${tcp + 16 * 8},16 set 0xdead`,
    )
    .join("\n");
}

function rules(tunnel: Tunnel, where: "a" | "b" | "r", hook: string, text: string): Promise<void> {
  return tunnel.sh(
    where,
    `nft -f - <<END
table inet trouble {
  chain c {
    type filter hook ${hook} priority 0;
    ${text}
  }
}
END`,
  );
}

function verdicts(tunnel: Tunnel): Promise<readonly ChecksumVerdict[]> {
  const options = { timeoutMs: 1500, netns: tunnel.a };
  return Promise.all([probeChecksum(AT_B[4], options), probeChecksum(AT_B[6], options)]);
}

it.concurrent("row 14: nothing is wrong where the refusal of a connection comes back", async () => {
  await using tunnel = await openTunnel();
  expect(await verdicts(tunnel)).toEqual(["fine", "fine"]);
});

it.concurrent("row 14: nothing is wrong where somebody listens", async () => {
  await using tunnel = await openTunnel();
  const listen = `require("node:net").createServer(() => {}).listen(9, "::", () => console.log("ready"))`;
  const argv = ["ip", "netns", "exec", "b", process.execPath, "-e", listen];
  const server = tunnel.host.spawn(argv, { env: { BUN_BE_BUN: "1" } });
  await server.stdout.getReader().read();
  expect(await verdicts(tunnel)).toEqual(["fine", "fine"]);
  server.kill();
  await server.exited;
});

describe.concurrent("row 14: checksums are found to be wrong", () => {
  it("where every one of TCP is spoilt on the way", async () => {
    await using tunnel = await openTunnel();
    await rules(tunnel, "r", "forward", spoiling());
    expect(await verdicts(tunnel)).toEqual(["broken", "broken"]);
  });

  it("where those of one direction are", async () => {
    await using tunnel = await openTunnel();
    await rules(tunnel, "r", "forward", spoiling().replaceAll("udp dport", "ip saddr 192.0.2.1 udp dport"));
    expect(await verdicts(tunnel)).toEqual(["broken", "broken"]);
  });

  it("where only those of the kernel's segments are, as of a card that is left to compute them", async () => {
    await using tunnel = await openTunnel();
    // Its SYN has ten words of header, ours six.
    await rules(
      tunnel,
      "r",
      "forward",
      spoiling((tcp) => `@th,${tcp + 12 * 8},4 10`),
    );
    expect(await verdicts(tunnel)).toEqual(["broken", "broken"]);
  });
});

describe.concurrent("row 14: a firewall is not taken for wrong checksums", () => {
  it.each([
    ["drops the probe's port", "tcp dport 9 drop", "fine"],
    [
      "drops all that is not known",
      "ct state established accept; meta l4proto { icmp, icmpv6 } accept; drop",
      "inconclusive",
    ],
    ["drops all but SSH", "tcp dport 22 accept; meta l4proto { icmp, icmpv6 } accept; drop", "fine"],
    ["drops TCP and UDP", "meta l4proto { tcp, udp } drop", "inconclusive"],
    ["drops new connections of TCP alone", "tcp flags & (syn | ack) == syn drop", "inconclusive"],
    ["refuses TCP by a reset", "meta l4proto tcp reject with tcp reset", "fine"],
  ] as const)("that %s", async (_, text, verdict) => {
    await using tunnel = await openTunnel();
    await rules(tunnel, "b", "input", `iifname != vx accept; ${text}`);
    expect(await verdicts(tunnel)).toEqual([verdict, verdict]);
  });

  it("that refuses TCP by word of its own, which the kernel hears of late", async () => {
    await using tunnel = await openTunnel();
    await rules(tunnel, "b", "input", "iifname vx meta l4proto tcp reject with icmpx type admin-prohibited");
    for (const verdict of await verdicts(tunnel)) expect(verdict).toMatch(/^(fine|inconclusive)$/);
  });

  it("of our own that drops what we send", async () => {
    await using tunnel = await openTunnel();
    await rules(tunnel, "a", "output", "oifname vx meta l4proto tcp tcp dport 9 drop");
    expect(await verdicts(tunnel)).toEqual(["fine", "fine"]);
  });
});

describe.concurrent("row 14: a peer that is not reached is not taken for wrong checksums", () => {
  it("where nothing comes back", async () => {
    await using tunnel = await openTunnel();
    await rules(tunnel, "b", "input", "iifname vx drop");
    expect(await verdicts(tunnel)).toEqual(["unreachable", "unreachable"]);
  });

  it("where no route leads to it", async () => {
    await using tunnel = await openTunnel();
    const nowhere = [parseAddress("203.0.113.1"), parseAddress("2001:db8::1")];
    await tunnel.sh("a", "ip route add unreachable 203.0.113.1");
    for (const address of nowhere) {
      expect(await probeChecksum(address, { timeoutMs: 1500, netns: tunnel.a })).toBe("unreachable");
    }
  });
});
