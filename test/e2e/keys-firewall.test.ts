/** Keys of firewall that no other test shows by packets. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { NAMES, protect } from "./firewalled.ts";
import type { Host } from "./host.ts";
import { listenIn, matrix } from "./reach.ts";
import { world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

it.each([
  ["iptables", "iptables -A MY-RULES -j ACCEPT; ip6tables -A MY-RULES -j ACCEPT"],
  ["nftables", "nft add rule inet tsnet MY-RULES accept"],
])("iptablesAdminChainName: that chain is asked first on %s, and not CNI-ADMIN", async (backend, accept) => {
  const keys = { backend, iptablesAdminChainName: "MY-RULES", ingressPolicy: "isolated" };
  await protect(host, "a1", keys);
  await protect(host, "b1", keys);
  await listenIn(host, ["a1", "b1"]);
  const reach = () => matrix(host, ["a1", "b1"], { a1: NAMES.a1, b1: NAMES.b1 });
  expect(await reach()).toBe("a1:\nb1:");
  await host.sh(accept);
  expect(await reach()).toBe("a1: b1\nb1: a1");
  expect(await host.sh("iptables-save; nft list ruleset")).not.toContain("CNI-ADMIN");
});
