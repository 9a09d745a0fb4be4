import { describe, expect, test } from "vitest";
import { formatAddress, parseAddress } from "../../lib/net/address.ts";
import { suggest } from "../../lib/suggest.ts";
import { guardTransaction } from "../../standalone/forwarding.ts";
import { isHeldBy, parseListeners } from "../../standalone/host/listeners.ts";
import { Turnstile } from "../../standalone/turnstile.ts";
import { age } from "../../standalone/view.ts";

describe("listening ports", () => {
  // As /proc/net has them on a little-endian machine.
  const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
`;
  const TCP6 = `  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5000 1
   1: B80D0120000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5001 1
`;
  const show = (text: string) =>
    parseListeners(text, "tcp").map(({ address, port, inode }) => `${formatAddress(address)} ${port} ${inode}`);

  test("are read from the kernel's tables, connections left out", () => {
    expect(show(TCP)).toEqual(["127.0.0.1 8080 4711"]);
    expect(show(TCP6)).toEqual([":: 80 5000", "2001:db8::1 443 5001"]);
  });

  test("are in the way of a published one on the same address, or where either is on all", () => {
    const on = (address: string) => ({
      protocol: "tcp" as const,
      address: parseAddress(address),
      port: 80,
      inode: "1",
    });
    const port = (hostIp?: string) => ({
      protocol: "tcp" as const,
      hostPort: 80,
      ...(hostIp === undefined ? {} : { hostIp: parseAddress(hostIp) }),
    });
    expect(isHeldBy(on("127.0.0.1"), port())).toBe(true);
    expect(isHeldBy(on("::"), port("192.0.2.1"))).toBe(true);
    expect(isHeldBy(on("127.0.0.1"), port("0.0.0.0"))).toBe(true);
    expect(isHeldBy(on("127.0.0.1"), port("127.0.0.1"))).toBe(true);
    expect(isHeldBy(on("127.0.0.1"), port("192.0.2.1"))).toBe(false);
    expect(isHeldBy(on("127.0.0.1"), { ...port(), protocol: "udp" })).toBe(false);
    expect(isHeldBy(on("127.0.0.1"), { ...port(), hostPort: 81 })).toBe(false);
  });
});

test("containers row 3: the guard drops what comes in by one link of the host's and leaves by another", () => {
  expect(guardTransaction({ families: [4, 6], links: ["eth0", "eth1"] }).render()).toBe(`add table inet tsnet-guard
delete table inet tsnet-guard
add table inet tsnet-guard
add chain inet tsnet-guard forward { type filter hook forward priority 0; policy accept; }
add set inet tsnet-guard transit { typeof iifname . oifname; }
add element inet tsnet-guard transit { "eth0" . "eth1" }
add element inet tsnet-guard transit { "eth1" . "eth0" }
add rule inet tsnet-guard forward meta nfproto ipv4 iifname . oifname @transit drop
add rule inet tsnet-guard forward meta nfproto ipv6 iifname . oifname @transit drop
`);
});

test("what was meant is the nearest word, and none if none is near", () => {
  const known = ["networks", "network", "ports", "command", "user"];
  expect(["port", "comand", "netwroks", "Network", "usr", "volumes", "x"].map((word) => suggest(word, known))).toEqual([
    "ports",
    "command",
    "networks",
    "network",
    "user",
    undefined,
    undefined,
  ]);
});

test("an age is told in the largest unit that is worth it", () => {
  const start = "2026-01-01T00:00:00Z";
  const after = (seconds: number) => age(start, Date.parse(start) + seconds * 1000);
  expect([0, 99, 100, 5999, 6000, 359_999, 360_000].map(after)).toEqual(["0s", "99s", "1m", "99m", "1h", "99h", "4d"]);
  expect(age(undefined)).toBe("");
});

test("a turnstile lets one pass at a time, also after one that failed", async () => {
  const turnstile = new Turnstile();
  const seen: string[] = [];
  const pass = (name: string, fails = false) =>
    turnstile.pass(async () => {
      seen.push(`${name} in`);
      await Promise.resolve();
      seen.push(`${name} out`);
      if (fails) throw new Error(name);
    });
  await Promise.allSettled([pass("a"), pass("b", true), pass("c")]);
  expect(seen).toEqual(["a in", "a out", "b in", "b out", "c in", "c out"]);
});
