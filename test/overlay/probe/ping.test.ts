import { afterAll, beforeAll, expect, it } from "vitest";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { pingAll } from "../../../overlay/probe/ping.ts";
import { AT_A, AT_B, openTunnel, type Tunnel } from "./tunnel.ts";

let tunnel: Tunnel;

beforeAll(async () => {
  tunnel = await openTunnel();
});
afterAll(() => tunnel[Symbol.asyncDispose]());

it("tells the round trip of those that answer, of both families, and who does not", async () => {
  const nobody = [parseAddress("10.244.2.77"), parseAddress("fd00:244:2::77"), parseAddress("203.0.113.9")];
  await tunnel.sh("a", "ip route add unreachable 203.0.113.9");
  const answers = await pingAll([AT_B[4], AT_B[6], ...nobody], { timeoutMs: 300, netns: tunnel.a });
  expect([...answers.keys()]).toEqual([AT_B[4], AT_B[6], ...nobody].map(formatAddress));
  for (const there of [AT_B[4], AT_B[6]]) {
    const ms = answers.get(formatAddress(there));
    expect(ms).toBeGreaterThan(0);
    expect(ms).toBeLessThan(300);
  }
  for (const address of nobody) expect(answers.get(formatAddress(address))).toBeUndefined();
});

it("measures what the way takes, not what the process does meanwhile", async () => {
  const asked = pingAll([AT_B[4]], { timeoutMs: 2000, netns: tunnel.a });
  // The answer is in the queue all the while.
  for (const end = performance.now() + 200; performance.now() < end; );
  const ms = (await asked).get(formatAddress(AT_B[4]));
  expect(ms).toBeLessThan(100);
});

it("asks once more where the first request was lost", async () => {
  await tunnel.sh(
    "b",
    `nft -f - <<END
table inet loss {
  chain c { type filter hook input priority 0; icmp type echo-request limit rate over 1/hour burst 1 packets accept; icmp type echo-request drop; }
}
END`,
  );
  const answers = await pingAll([AT_B[4]], { timeoutMs: 600, netns: tunnel.a });
  await tunnel.sh("b", "nft delete table inet loss");
  expect(answers.get(formatAddress(AT_B[4]))).toBeLessThan(300);
});

it("asks from the source that it is told", async () => {
  await tunnel.sh("a", "ip address add 10.244.1.5/32 dev vx");
  await tunnel.sh(
    "b",
    "nft add table inet only; nft add chain inet only c '{ type filter hook input priority 0; }'; nft add rule inet only c ip saddr != 10.244.1.5 icmp type echo-request drop",
  );
  const from = async (source: string) =>
    (await pingAll([AT_B[4]], { timeoutMs: 300, source: parseAddress(source), netns: tunnel.a })).get(
      formatAddress(AT_B[4]),
    );
  expect(await from("10.244.1.5")).toBeDefined();
  expect(await from(formatAddress(AT_A[4]))).toBeUndefined();
  await tunnel.sh("b", "nft delete table inet only");
});

it("asks hundreds at once", async () => {
  await tunnel.sh("b", "ip address add 10.244.2.0/24 dev lo; ip route add local 10.244.2.0/24 dev lo || true");
  const many = Array.from({ length: 250 }, (_, i) => ({ family: 4, value: AT_B[4].value + BigInt(i) }) as const);
  const answers = await pingAll(many, { timeoutMs: 2000, netns: tunnel.a });
  expect([...answers].filter(([, ms]) => ms === undefined)).toEqual([]);
  expect(answers.size).toBe(250);
});

it("asks nobody without an error", async () => {
  expect(await pingAll([], { timeoutMs: 10, netns: tunnel.a })).toEqual(new Map());
});
