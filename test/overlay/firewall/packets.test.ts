import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Host } from "../../e2e/host.ts";
import { FirewallAgent } from "./agent.ts";
import { FAR, makeWorld, OUT, POD, seenAs, US_FAR, US_OUT } from "./world.ts";

const BACKENDS = [
  { name: "nftables", backend: "nftables", before: "true" },
  { name: "iptables-nft", backend: "iptables", before: "true" },
  // What holds the host's rules is what is used.
  { name: "iptables-legacy", backend: "iptables", before: "for i in iptables ip6tables; do $i-legacy -A INPUT; done" },
] as const;

describe.each(BACKENDS)("with $name", ({ backend, before }) => {
  let host: Host;
  let agent: FirewallAgent;
  beforeAll(async () => {
    host = await makeWorld();
    await host.sh(before);
    agent = await FirewallAgent.start(host, backend);
    await agent.ask("apply");
  });
  afterAll(async () => {
    await agent[Symbol.asyncDispose]();
    await host.destroy();
  });

  describe.each([4, 6] as const)("over IPv%d", (family) => {
    test.each([
      ["a container is seen by one of another host as itself", "pod", FAR[family], POD[family]],
      ["one of another host is seen by ours as itself", "far", POD[family], FAR[family]],
      ["a container is seen outside as its host", "pod", OUT[family], US_OUT[family]],
      ["somebody outside is seen by our container as himself", "out", POD[family], OUT[family]],
      [
        "somebody outside is seen by one of another host as us, who know the way back",
        "out",
        FAR[family],
        US_FAR[family],
      ],
      ["this host is seen by one of another host as itself", "", FAR[family], US_FAR[family]],
    ])("%s", async (_, from, to, as) => {
      expect(await seenAs(host, from, to)).toBe(as);
    });

    test("what kube-proxy marked is left to it", async () => {
      const ip = family === 4 ? "ip" : "ip6";
      await host.sh(`
        nft add table inet marks
        nft 'add chain inet marks forward { type filter hook forward priority mangle; }'
        nft add rule inet marks forward ${ip} saddr ${POD[family]} meta mark set meta mark or 0x4000
      `);
      expect(await seenAs(host, "pod", OUT[family])).toBe(POD[family]);
      await host.sh("nft delete table inet marks");
      expect(await seenAs(host, "pod", OUT[family])).toBe(US_OUT[family]);
    });
  });

  test("nothing is masqueraded if that is not wished", async () => {
    await agent.ask("apply", { wish: { masquerade: false } });
    expect(await seenAs(host, "pod", OUT[4])).toBe(POD[4]);
    expect(await seenAs(host, "pod", OUT[6])).toBe(POD[6]);
    await agent.ask("apply");
    expect(await seenAs(host, "pod", OUT[4])).toBe(US_OUT[4]);
  });
});

describe("row 21: on a host that drops what it forwards", () => {
  const DROPS = [
    ["Docker's policy", "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP"],
    [
      "a last rule that rejects",
      "for i in iptables ip6tables; do $i-nft -A FORWARD -i lo -j ACCEPT; $i-nft -A FORWARD -j REJECT; done",
    ],
    ["a policy in legacy", "iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP"],
  ] as const;

  describe.each(["nftables", "iptables"] as const)("with %s", (backend) => {
    test.each(DROPS)("%s: what is the network's passes, and nothing else", async (_, drop) => {
      await using host = await makeWorld();
      await host.sh(drop);
      expect(await seenAs(host, "pod", FAR[4])).toBeUndefined();
      await using agent = await FirewallAgent.start(host, backend);
      await agent.ask("apply");
      expect(await seenAs(host, "pod", FAR[4])).toBe(POD[4]);
      expect(await seenAs(host, "far", POD[6])).toBe(FAR[6]);
      expect(await seenAs(host, "pod", OUT[6])).toBe(US_OUT[6]);
      // Its other address is none of the network's.
      await host.sh("ip -n far route replace default via 192.0.2.1 src 192.0.2.2");
      expect(await seenAs(host, "far", OUT[4])).toBeUndefined();
    });
  });

  test("a drop that comes later is met by the next look", async () => {
    await using host = await makeWorld();
    await using agent = await FirewallAgent.start(host, "nftables");
    await agent.ask("apply");
    expect(await agent.ask("repair")).toBe(false);
    await host.sh("iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; iptables-nft -I FORWARD -j DOCKER-USER");
    expect(await agent.ask("disturbed")).toBe(true);
    expect(await agent.ask("repair")).toBe(true);
    expect(await seenAs(host, "pod", FAR[4])).toBe(POD[4]);
  });

  test("one in a table of nftables is told with the rules to add, which help", async () => {
    await using host = await makeWorld();
    await host.sh(`
      nft add table inet filter
      nft 'add chain inet filter forward { type filter hook forward priority filter; policy drop; }'
      nft add rule inet filter forward iifname '"lo"' accept
    `);
    await using agent = await FirewallAgent.start(host, "nftables");
    await agent.ask("apply");
    const [line = ""] = await agent.log();
    expect(line).toMatch(/^warn: nftables chain inet filter forward drops .* \(policy drop\), .*; add to it: /);
    expect(await seenAs(host, "pod", FAR[4])).toBeUndefined();
    await host.sh(line.slice(line.indexOf("nft insert")));
    expect(await seenAs(host, "pod", FAR[4])).toBe(POD[4]);
    expect(await seenAs(host, "far", POD[6])).toBe(FAR[6]);
    await agent.ask("apply");
    expect(await agent.log()).toEqual([]);
  });
});
