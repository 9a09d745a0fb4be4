import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";
import { FirewallAgent } from "./agent.ts";
import { flannelIptables, flannelNftables, oldFlannelIptables } from "./flannel.ts";

let host: Host;
beforeEach(async () => {
  host = await Host.create();
});
afterEach(() => host.destroy());

/** Rules and chains of an iptables, less the built-in chains that do nothing. */
async function saved(program: string): Promise<string> {
  const text = await host.ok([`${program}-save`]);
  const lines = text.split("\n").map((line) => line.replace(/ \[\d+:\d+\]$/, ""));
  return lines.filter((line) => /^(:.* -|:.* DROP|-A )/.test(line)).join("\n");
}

const everything = async () =>
  [
    await host.ok(["sh", "-c", "nft -s list tables | grep -vE ' (filter|nat)$' || true"]),
    ...(await Promise.all(["iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"].map(saved))),
  ]
    .filter((text) => text !== "")
    .join("\n");

describe("the rules", () => {
  test("are two tables of nftables", async () => {
    await using agent = await FirewallAgent.start(host, "nftables");
    await agent.ask("apply");
    expect(await host.ok(["nft", "-s", "list", "ruleset"])).toMatchInlineSnapshot(`
      "table ip tsnet-overlay {
      	comment "masquerade by tsnet overlay"
      	chain postrouting {
      		type nat hook postrouting priority srcnat; policy accept;
      		meta mark & 0x00004000 == 0x00004000 return comment "kube-proxy masquerades it"
      		ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 return comment "within the network"
      		ip saddr != 10.244.0.0/16 ip daddr 10.244.1.0/24 return comment "from outside to here"
      		ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random comment "to the outside"
      		ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random comment "through here to other hosts"
      	}
      }
      table ip6 tsnet-overlay {
      	comment "masquerade by tsnet overlay"
      	chain postrouting {
      		type nat hook postrouting priority srcnat; policy accept;
      		meta mark & 0x00004000 == 0x00004000 return comment "kube-proxy masquerades it"
      		ip6 saddr fd00:244::/32 ip6 daddr fd00:244::/32 return comment "within the network"
      		ip6 saddr != fd00:244::/32 ip6 daddr fd00:244:1::/64 return comment "from outside to here"
      		ip6 saddr fd00:244::/32 ip6 daddr != ff00::/8 masquerade fully-random comment "to the outside"
      		ip6 saddr != fd00:244::/32 ip6 daddr fd00:244::/32 masquerade fully-random comment "through here to other hosts"
      	}
      }
      "
    `);
  });

  test("are two chains of each iptables", async () => {
    await using agent = await FirewallAgent.start(host, "iptables");
    await agent.ask("apply");
    expect(await saved("iptables-nft")).toMatchInlineSnapshot(`
      ":TSNET-OVERLAY-FWD -
      -A FORWARD -m comment --comment "tsnet overlay" -j TSNET-OVERLAY-FWD
      -A TSNET-OVERLAY-FWD -s 10.244.0.0/16 -m comment --comment "from the network" -j ACCEPT
      -A TSNET-OVERLAY-FWD -d 10.244.0.0/16 -m comment --comment "to the network" -j ACCEPT
      :TSNET-OVERLAY-MASQ -
      -A POSTROUTING -m comment --comment "tsnet overlay" -j TSNET-OVERLAY-MASQ
      -A TSNET-OVERLAY-MASQ -m comment --comment "kube-proxy masquerades it" -m mark --mark 0x4000/0x4000 -j RETURN
      -A TSNET-OVERLAY-MASQ -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "within the network" -j RETURN
      -A TSNET-OVERLAY-MASQ ! -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "from outside to here" -j RETURN
      -A TSNET-OVERLAY-MASQ -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "to the outside" -j MASQUERADE --random-fully
      -A TSNET-OVERLAY-MASQ ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "through here to other hosts" -j MASQUERADE --random-fully"
    `);
    expect(await saved("ip6tables-nft")).toMatchInlineSnapshot(`
      ":TSNET-OVERLAY-FWD -
      -A FORWARD -m comment --comment "tsnet overlay" -j TSNET-OVERLAY-FWD
      -A TSNET-OVERLAY-FWD -s fd00:244::/32 -m comment --comment "from the network" -j ACCEPT
      -A TSNET-OVERLAY-FWD -d fd00:244::/32 -m comment --comment "to the network" -j ACCEPT
      :TSNET-OVERLAY-MASQ -
      -A POSTROUTING -m comment --comment "tsnet overlay" -j TSNET-OVERLAY-MASQ
      -A TSNET-OVERLAY-MASQ -m comment --comment "kube-proxy masquerades it" -m mark --mark 0x4000/0x4000 -j RETURN
      -A TSNET-OVERLAY-MASQ -s fd00:244::/32 -d fd00:244::/32 -m comment --comment "within the network" -j RETURN
      -A TSNET-OVERLAY-MASQ ! -s fd00:244::/32 -d fd00:244:1::/64 -m comment --comment "from outside to here" -j RETURN
      -A TSNET-OVERLAY-MASQ -s fd00:244::/32 ! -d ff00::/8 -m comment --comment "to the outside" -j MASQUERADE --random-fully
      -A TSNET-OVERLAY-MASQ ! -s fd00:244::/32 -d fd00:244::/32 -m comment --comment "through here to other hosts" -j MASQUERADE --random-fully"
    `);
  });

  test("take the port that the sender chose if that is wished", async () => {
    await using agent = await FirewallAgent.start(host, "nftables");
    await agent.ask("apply", { wish: { randomFully: false } });
    const listed = await host.ok(["nft", "list", "ruleset"]);
    expect(listed.match(/masquerade (?=comment)/g)).toHaveLength(4);
    await using other = await FirewallAgent.start(host, "iptables");
    await other.ask("apply", { wish: { randomFully: false } });
    expect((await saved("iptables-nft")).match(/-j MASQUERADE$/gm)).toHaveLength(2);
  });

  test("do without --random-fully where iptables does not know it", async () => {
    const old = "/run/old-iptables";
    await host.sh(`mkdir ${old}
      for name in iptables ip6tables; do
        cat > ${old}/$name-nft-restore <<'END'
#!/bin/sh
text=$(cat)
case $text in *--random-fully*) echo "$0: unknown option \\"--random-fully\\"" >&2; exit 2;; esac
printf '%s\\n' "$text" | /usr/sbin/\${0##*/} "$@"
END
        chmod +x ${old}/$name-nft-restore
      done`);
    await using agent = await FirewallAgent.start(host, "iptables", { path: `${old}:` });
    await agent.ask("apply");
    expect((await saved("iptables-nft")).match(/-j MASQUERADE$/gm)).toHaveLength(2);
    expect((await saved("ip6tables-nft")).match(/-j MASQUERADE$/gm)).toHaveLength(2);
  });

  test("of a family that the network has no more go", async () => {
    await using agent = await FirewallAgent.start(host, "nftables");
    await host.sh("iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP");
    await agent.ask("apply");
    await agent.ask("apply", { wish: { families: [4] } });
    expect(await host.ok(["nft", "list", "tables"])).not.toContain("ip6 tsnet-overlay");
    expect(await saved("ip6tables-nft")).toBe(":FORWARD DROP");
  });

  test("without accepts are none in FORWARD", async () => {
    await using agent = await FirewallAgent.start(host, "iptables");
    await agent.ask("apply");
    await agent.ask("apply", { wish: { forward: false } });
    expect(await saved("iptables-nft")).not.toContain("TSNET-OVERLAY-FWD");
    expect(await saved("iptables-nft")).toContain("TSNET-OVERLAY-MASQ");
  });
});

describe("the back end", () => {
  test("is nftables unless told otherwise", async () => {
    await using agent = await FirewallAgent.start(host, "any");
    expect(await agent.ask("open")).toBe("nftables");
  });

  test("row 9: of iptables is the variant that holds the host's rules", async () => {
    await host.sh("iptables-legacy -A INPUT -i lo -j ACCEPT");
    await using agent = await FirewallAgent.start(host, "iptables");
    await agent.ask("apply");
    expect(await saved("iptables-legacy")).toContain("TSNET-OVERLAY-MASQ");
    expect(await saved("iptables-nft")).toBe("");
  });

  test("row 9: of iptables is told to be mixed where both variants hold rules", async () => {
    await host.sh("iptables-legacy -A INPUT -i lo -j ACCEPT; iptables-nft -A INPUT -i lo -j ACCEPT");
    await using agent = await FirewallAgent.start(host, "iptables");
    expect(await agent.log()).toEqual([
      expect.stringMatching(/^warn: both iptables-nft and iptables-legacy hold rules/),
    ]);
  });

  test("is nftables where no program is installed, and a drop that nobody can open is told", async () => {
    await host.sh("iptables-nft -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP");
    await using agent = await FirewallAgent.start(host, "any", { wrap: ["env", "PATH=/nowhere"] });
    await agent.ask("apply");
    expect(await agent.ask("repair")).toBe(false);
    expect(await host.ok(["nft", "list", "tables"])).toContain("table ip6 tsnet-overlay");
    expect(await agent.log()).toEqual([
      expect.stringMatching(/^warn: FORWARD of iptables-nft may drop .*: install it$/),
      expect.stringMatching(/^warn: cannot change iptables-legacy of IPv6: .* may be dropped there/),
    ]);
    await agent.ask("remove");
    expect(await host.ok(["nft", "list", "tables"])).not.toContain("tsnet-overlay");
  });

  test("of iptables without iptables is an error", async () => {
    const start = FirewallAgent.start(host, "iptables", { wrap: ["env", "PATH=/nowhere"] });
    await expect(start).rejects.toThrow(
      "there is no iptables on this host: install it, or let the overlay use nftables",
    );
  });

  test("changes without a rule of the other being left", async () => {
    await host.sh("iptables-legacy -P FORWARD DROP");
    {
      await using agent = await FirewallAgent.start(host, "iptables");
      await agent.ask("apply");
    }
    {
      await using agent = await FirewallAgent.start(host, "nftables");
      await agent.ask("apply");
    }
    expect(await saved("iptables-legacy")).not.toContain("TSNET-OVERLAY-MASQ");
    expect(await host.ok(["nft", "list", "tables"])).toContain("ip tsnet-overlay");
    await using agent = await FirewallAgent.start(host, "iptables");
    await agent.ask("apply");
    expect(await host.ok(["nft", "list", "tables"])).not.toContain("tsnet-overlay");
    expect(await saved("iptables-legacy")).toContain("TSNET-OVERLAY-MASQ");
  });

  test("loads no table of legacy that is not there", async () => {
    await using agent = await FirewallAgent.start(host, "nftables");
    await agent.ask("apply");
    await agent.ask("repair");
    await agent.ask("remove");
    expect(await host.ok(["sh", "-c", "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names"])).toBe("");
  });
});

describe("flannel's rules", () => {
  const LEFT = [
    ["of iptables-nft", flannelIptables("nft")],
    ["of iptables-legacy", flannelIptables("legacy")],
    ["of nftables", flannelNftables()],
    ["of an old version", oldFlannelIptables()],
    ["of all at once", [flannelIptables("nft"), flannelIptables("legacy"), flannelNftables()].join("\n")],
  ] as const;
  const FLANNELS = /flannel/i;

  describe.each(["nftables", "iptables"] as const)("with %s", (backend) => {
    test.each(LEFT)("%s go once ours are in", async (_, script) => {
      await host.sh(script);
      expect(await everything()).toMatch(FLANNELS);
      await using agent = await FirewallAgent.start(host, backend);
      await agent.ask("apply");
      expect(await everything()).not.toMatch(FLANNELS);
      expect(await everything()).toContain(backend === "nftables" ? "table ip tsnet-overlay" : "TSNET-OVERLAY-MASQ");
    });
  });

  test("that somebody's own rules lead to stay, empty, and are told", async () => {
    await host.sh(`${flannelIptables("nft")}\niptables-nft -A FORWARD -i lo -j FLANNEL-FWD -m comment --comment mine`);
    await host.sh("iptables-nft -N MINE; iptables-nft -A MINE -j FLANNEL-FWD");
    await using agent = await FirewallAgent.start(host, "nftables");
    await agent.ask("apply");
    expect(await agent.log()).toEqual([
      expect.stringMatching(/^warn: chains of flannel's stay in iptables-nft, empty/),
    ]);
    expect(await saved("iptables-nft")).toContain(":FLANNEL-FWD -");
    expect(await saved("iptables-nft")).not.toContain("-A FLANNEL-FWD");
  });

  test("go with ours when the overlay is removed, and nobody else's do", async () => {
    await host.sh(
      `iptables-nft -N MINE; iptables-nft -A FORWARD -j MINE; iptables-legacy -t nat -A POSTROUTING -j RETURN`,
    );
    const before = await everything();
    await host.sh([flannelIptables("nft"), flannelIptables("legacy"), flannelNftables()].join("\n"));
    for (const backend of ["nftables", "iptables"] as const) {
      await using agent = await FirewallAgent.start(host, backend);
      await agent.ask("apply");
      await host.sh(flannelIptables("nft"));
      await agent.ask("remove");
      expect(await everything()).toBe(before);
      await agent.ask("remove");
    }
  });
});
