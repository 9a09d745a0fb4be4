import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";
import { FirewallAgent } from "./agent.ts";
import { makeWorld, OUT, seenAs, US_OUT } from "./world.ts";

const DEADLINE_MS = 1000;

let host: Host;
beforeEach(async () => {
  host = await Host.create();
});
afterEach(() => host.destroy());

const BOTH = ["iptables", "ip6tables"] as const;
const both = (variant: string, args: string) => BOTH.map((name) => `${name}-${variant} ${args}`).join("; ");

/** The rules of the host, less counters and the numbers that rules have. */
async function rules(): Promise<string> {
  const legacy = BOTH.map((name) => `${name}-legacy-save | grep -v '^#' | sed -E 's/ \\[[0-9]+:[0-9]+\\]$//'`);
  // A flush takes the empty built-in chains of iptables-nft, too, which it makes again only as it needs them.
  const nft = BOTH.map((name) => `${name}-nft-save | grep -E '^(:TSNET|-A)'`);
  return host.sh(
    `nft -s list ruleset | grep -A9 tsnet-overlay || true; ${[...legacy, ...nft].join(" || true; ")} || true`,
  );
}

/** Asks until it is told of a disturbance, as an agent does; ms until the rules are back. */
async function repaired(agent: FirewallAgent): Promise<number> {
  const begun = performance.now();
  while (!(await agent.ask("disturbed"))) {
    if (performance.now() - begun > DEADLINE_MS) throw new Error("nobody was told of the change");
    await Bun.sleep(20);
  }
  expect(await agent.ask("repair")).toBe(true);
  return performance.now() - begun;
}

/** Until what our own programs did is heard of as well. */
async function settle(agent: FirewallAgent): Promise<void> {
  await agent.ask("apply");
  while (await agent.ask("disturbed")) expect(await agent.ask("repair")).toBe(false);
}

const NFTABLES_DAMAGE = [
  ["all rules are flushed", "nft flush ruleset"],
  ["a table is deleted", "nft delete table ip6 tsnet-overlay"],
  ["a chain is flushed", "nft flush chain ip tsnet-overlay postrouting"],
  ["a chain is deleted", "nft 'flush chain ip tsnet-overlay postrouting; delete chain ip tsnet-overlay postrouting'"],
  ["a rule is added", "nft insert rule ip tsnet-overlay postrouting return"],
  [
    "a rule is deleted",
    "nft delete rule ip6 tsnet-overlay postrouting handle $(nft -a list table ip6 tsnet-overlay | sed -n 's/.*to the outside.*handle //p')",
  ],
] as const;

const iptablesDamage = (variant: string) =>
  [
    ["nat is flushed", both(variant, "-t nat -F")],
    ["filter is flushed", both(variant, "-F")],
    [
      "all is flushed and the chains deleted",
      ["filter", "nat"].map((t) => `${both(variant, `-t ${t} -F`)}; ${both(variant, `-t ${t} -X`)}`).join("; "),
    ],
    ["a jump is deleted", both(variant, "-D FORWARD 1")],
    ["a chain is flushed", both(variant, "-t nat -F TSNET-OVERLAY-MASQ")],
    ["a rule is added", both(variant, "-t nat -I TSNET-OVERLAY-MASQ -j ACCEPT")],
    ["a rule is deleted", both(variant, "-t nat -D TSNET-OVERLAY-MASQ 4")],
    [
      "rules of somebody are restored over ours",
      `printf '*nat\\nCOMMIT\\n*filter\\nCOMMIT\\n' | tee /run/empty | iptables-${variant}-restore; ip6tables-${variant}-restore </run/empty`,
    ],
  ] as const;

describe("with nftables", () => {
  test.each(NFTABLES_DAMAGE)("%s: it is put back", async (_, damage) => {
    await using agent = await FirewallAgent.start(host, "nftables");
    await settle(agent);
    const before = await rules();
    await host.sh(damage);
    expect(await rules()).not.toBe(before);
    const ms = await repaired(agent);
    expect(await rules()).toBe(before);
    expect(ms).toBeLessThan(DEADLINE_MS);
    expect(await agent.ask("repair")).toBe(false);
  });

  test.each(iptablesDamage("legacy").filter(([name]) => name.startsWith("filter") || name.includes("jump")))(
    "row 21: accepts in legacy, %s: they are put back",
    async (_, damage) => {
      await host.sh(both("legacy", "-P FORWARD DROP"));
      await using agent = await FirewallAgent.start(host, "nftables");
      await settle(agent);
      const before = await rules();
      await host.sh(damage);
      expect(await rules()).not.toBe(before);
      await repaired(agent);
      expect(await rules()).toBe(before);
    },
  );
});

describe.each(["nft", "legacy"] as const)("with iptables-%s", (variant) => {
  test.each(iptablesDamage(variant))("%s: it is put back", async (_, damage) => {
    if (variant === "legacy") await host.sh("iptables-legacy -A INPUT -i lo -j ACCEPT");
    await using agent = await FirewallAgent.start(host, "iptables");
    await settle(agent);
    const tsnet = async () => (await rules()).split("\n").filter((line) => line.includes("TSNET"));
    const before = await tsnet();
    await host.sh(damage);
    expect(await tsnet()).not.toEqual(before);
    const ms = await repaired(agent);
    expect(await tsnet()).toEqual(before);
    expect(ms).toBeLessThan(DEADLINE_MS);
    expect(await agent.ask("repair")).toBe(false);
  });
});

describe("a look", () => {
  test("finds nothing to do where others change what is theirs", async () => {
    await using agent = await FirewallAgent.start(host, "nftables");
    await settle(agent);
    await host.sh("nft add table ip theirs; iptables-nft -A INPUT -i lo -j ACCEPT");
    expect(await agent.ask("disturbed")).toBe(true);
    expect(await agent.ask("repair")).toBe(false);
    expect(await agent.ask("disturbed")).toBe(false);
  });

  test("brings what could not be applied", async () => {
    await host.sh(`mkdir /run/busy
      printf '#!/bin/sh\\necho "Another app is currently holding the xtables lock" >&2; exit 4\\n' >/run/busy/iptables-nft-restore
      chmod +x /run/busy/iptables-nft-restore`);
    await using agent = await FirewallAgent.start(host, "iptables", { path: "/run/busy:" });
    await expect(agent.ask("apply")).rejects.toThrow("somebody else holds the xtables lock: try again");
    await host.sh("rm /run/busy/iptables-nft-restore");
    expect(await agent.ask("repair")).toBe(true);
    expect(await rules()).toContain("-j TSNET-OVERLAY-MASQ");
  });

  test("before anything was applied finds nothing to do", async () => {
    await using agent = await FirewallAgent.start(host, "nftables");
    expect(await agent.ask("repair")).toBe(false);
    expect(await host.ok(["nft", "list", "tables"])).toBe("");
  });
});

test.each(["nftables", "iptables"] as const)(
  "%s: no connection slips through while rules are written anew",
  async (backend) => {
    await using world = await makeWorld();
    await using agent = await FirewallAgent.start(world, backend);
    await agent.ask("apply");
    const ask = async () => {
      const seen = [];
      for (let count = 0; count < 10; count++) seen.push(await seenAs(world, "pod", OUT[4]));
      return seen;
    };
    const asked = ask();
    let done = false;
    void asked.finally(() => {
      done = true;
    });
    let times = 0;
    for (; !done; times++) await agent.ask("apply");
    expect(new Set(await asked)).toEqual(new Set([US_OUT[4]]));
    expect(times).toBeGreaterThan(3);
  },
);
