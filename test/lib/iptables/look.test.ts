import { expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";
import { look } from "./look.ts";

test("chains, rules and tables are seen without starting iptables", async () => {
  await using host = await Host.create();
  await host.sh(`
    iptables-nft -t nat -N ONE-CHAIN; iptables-nft -t nat -N OTHER-CHAIN
    iptables-nft -t nat -A ONE-CHAIN -s 10.0.0.1 -j RETURN; iptables-nft -t nat -A ONE-CHAIN -j OTHER-CHAIN
    iptables-legacy -N MINE`);
  const before = await look(host);
  expect(before).toEqual({
    chains: ["ONE-CHAIN", "OTHER-CHAIN"],
    none: [],
    has: [true, false, false],
    count: 2,
    jumps: [true, false],
    missing: 0,
    legacy: expect.any(Number),
    unknown: null,
  });
  await host.sh("iptables-legacy -A MINE -j RETURN");
  expect((await look(host)).legacy).toBe(before.legacy + 1);
});
