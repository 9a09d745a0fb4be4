import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Tools } from "../../../lib/firewall/tools.ts";
import type { Backend, Firewall, ForwardWish } from "../../../lib/firewall/types.ts";
import { IptablesTransaction } from "../../../lib/iptables/transaction.ts";
import { NftTransaction } from "../../../lib/nft/transaction.ts";
import { addresses, DNS, FakeHost, publish, tcp, WEB } from "./fake-host.ts";

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost(mkdtempSync(join(tmpdir(), "tsnet-firewall-")));
});
afterEach(() => rmSync(host.root, { recursive: true, force: true }));

const AT = { family: "inet", table: "tsnet" } as const;

/** What the firewall plugin asks for with a config of defaults. */
function forward(more: Partial<ForwardWish> = {}): { readonly forward: ForwardWish } {
  return {
    forward: { addresses: addresses(5), links: ["br0"], ingress: "open", adminChain: "CNI-ADMIN", ...more },
  };
}
const web = forward();
const dns = forward({ addresses: addresses(6) });

const entryFiles = () =>
  readdirSync(host.root, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile() && one.name !== "lock")
    .map((one) => one.name);

describe("what is forwarded, on nftables", () => {
  it("is an element an address, behind the administrator's chain and the walls", async () => {
    const firewall = await host.firewall("nftables");
    await firewall.attach(WEB, forward({ ingress: "isolated" }));
    expect(host.nft.dump()).toMatchInlineSnapshot(`
      "table inet tsnet {
      	set forward4 {
      		typeof ip saddr
      		elements = {
      			198.51.100.5 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0"
      		}
      	}

      	set forward6 {
      		typeof ip6 saddr
      		elements = {
      			2001:db8::5 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0"
      		}
      	}

      	set walled {
      		typeof iifname
      		elements = {
      			"br0" comment "shared.d322ca80 walls around br0"
      		}
      	}

      	set within {
      		typeof iifname . oifname
      		elements = {
      			"br0" . "br0" comment "shared.d322ca80 walls around br0"
      		}
      	}

      	set isolated {
      		typeof iifname . oifname
      		elements = {
      			"br0" . "br0" comment "shared.76102549 walls inside br0"
      		}
      	}

      	chain forward {
      		type filter hook forward priority -5; policy accept;
      		jump admin
      		iifname . oifname @isolated drop
      		iifname . oifname @within accept
      		iifname @walled oifname @walled drop
      		ip saddr @forward4 accept
      		ip6 saddr @forward6 accept
      	}

      	chain admin {
      		jump CNI-ADMIN comment "shared.161fc5c7 admin chain CNI-ADMIN"
      	}

      	chain CNI-ADMIN {
      	}
      }
      "
    `);
  });
});

describe("what is forwarded, on iptables", () => {
  it("is two rules an address, behind the administrator's chain and the walls", async () => {
    const firewall = await host.firewall("iptables");
    await firewall.attach(WEB, forward({ ingress: "isolated" }));
    expect(host.iptables.nft.dump(4)).toMatchInlineSnapshot(`
      "*filter
      :CNI-ADMIN -
      :FORWARD ACCEPT
      :TSNET-CONTAINERS -
      :TSNET-WALLED -
      :TSNET-WALLS -
      -A FORWARD -j TSNET-CONTAINERS
      -A TSNET-CONTAINERS -m comment --comment "shared.161fc5c7 admin chain CNI-ADMIN" -j CNI-ADMIN
      -A TSNET-CONTAINERS -j TSNET-WALLS
      -A TSNET-CONTAINERS -d 198.51.100.5/32 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
      -A TSNET-CONTAINERS -s 198.51.100.5/32 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -j ACCEPT
      -A TSNET-WALLED -o br0 -m comment --comment "shared.d322ca80 walls around br0" -j DROP
      -A TSNET-WALLS -i br0 ! -o br0 -m comment --comment "shared.d322ca80 walls around br0" -j TSNET-WALLED
      -A TSNET-WALLS -i br0 -o br0 -m comment --comment "shared.76102549 walls inside br0" -j DROP
      COMMIT
      "
    `);
    expect(host.iptables.nft.dump(6)).toMatchInlineSnapshot(`
      "*filter
      :CNI-ADMIN -
      :FORWARD ACCEPT
      :TSNET-CONTAINERS -
      :TSNET-WALLED -
      :TSNET-WALLS -
      -A FORWARD -j TSNET-CONTAINERS
      -A TSNET-CONTAINERS -m comment --comment "shared.161fc5c7 admin chain CNI-ADMIN" -j CNI-ADMIN
      -A TSNET-CONTAINERS -j TSNET-WALLS
      -A TSNET-CONTAINERS -d 2001:db8::5/128 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
      -A TSNET-CONTAINERS -s 2001:db8::5/128 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -j ACCEPT
      -A TSNET-WALLED -o br0 -m comment --comment "shared.d322ca80 walls around br0" -j DROP
      -A TSNET-WALLS -i br0 ! -o br0 -m comment --comment "shared.d322ca80 walls around br0" -j TSNET-WALLED
      -A TSNET-WALLS -i br0 -o br0 -m comment --comment "shared.76102549 walls inside br0" -j DROP
      COMMIT
      "
    `);
  });
});

describe.each<Backend>(["nftables", "iptables"])("what is forwarded, on %s", (backend) => {
  let firewall: Firewall;
  beforeEach(async () => {
    firewall = await host.firewall(backend);
  });

  const asked = (chain: string) => host.dump().includes(backend === "nftables" ? `jump ${chain} ` : `-j ${chain}\n`);
  const walled = () => [...new Set([...host.dump().matchAll(/walls (?:around|inside) [\w.]+/g)].map(([text]) => text))];

  it("goes in one change with what else is asked for, and out in one", async () => {
    const families = backend === "iptables" ? 2 : 1;
    const run = backend === "iptables" ? "iptables-nft run" : "nft run";
    const parts = { masquerade: { addresses: addresses(5) }, publish: publish({ mappings: [tcp(8080)] }), ...web };
    await firewall.attach(DNS, dns);
    host.calls.length = 0;
    await firewall.attach(WEB, parts);
    expect(host.calls.filter((call) => call.endsWith(" run"))).toEqual(Array(families).fill(run));
    host.calls.length = 0;
    await firewall.detach(WEB, ["masquerade", "publish", "forward"]);
    expect(host.calls).toEqual(Array(families).fill(run));
    host.calls.length = 0;
    await firewall.detach(DNS, ["forward"]);
    expect(host.calls).toEqual(Array(families).fill(run));
    expect(host.dump()).toBe("");
    expect(entryFiles()).toEqual([]);
  });

  it("shares the walls of a bridge: they go with its last container", async () => {
    const [same, isolated] = [{ ingress: "same-bridge" }, { ingress: "isolated" }] as const;
    await firewall.attach(WEB, forward(same));
    await firewall.attach(DNS, forward({ addresses: addresses(6), ...isolated }));
    const other = { ...WEB, containerId: "other" };
    await firewall.attach(other, forward({ addresses: addresses(7), links: ["br1"], ...same }));
    expect(walled().toSorted()).toEqual(["walls around br0", "walls around br1", "walls inside br0"]);
    await firewall.detach(DNS, ["forward"]);
    expect(walled().toSorted()).toEqual(["walls around br0", "walls around br1"]);
    await firewall.detach(WEB, ["forward"]);
    expect(walled()).toEqual(["walls around br1"]);
    await firewall.check(other, forward({ addresses: addresses(7), links: ["br1"], ...same }));
    await firewall.detach(other, ["forward"]);
    expect(host.dump()).toBe("");
  });

  it("changes the policy of a container that is attached again", async () => {
    await firewall.attach(WEB, forward({ ingress: "isolated" }));
    await firewall.attach(WEB, web);
    expect(walled()).toEqual([]);
    await firewall.check(WEB, web);
    expect(entryFiles()).toHaveLength(1);
    await firewall.detach(WEB, ["forward"]);
    expect(host.dump()).toBe("");
  });

  it("asks every administrator's chain that somebody names, and removes an empty one with who named it", async () => {
    await firewall.attach(WEB, web);
    await firewall.attach(DNS, forward({ addresses: addresses(6), adminChain: "MY-RULES" }));
    expect([asked("CNI-ADMIN"), asked("MY-RULES")]).toEqual([true, true]);
    await firewall.detach(WEB, ["forward"]);
    expect([host.dump().includes("CNI-ADMIN"), asked("MY-RULES")]).toEqual([false, true]);
    await firewall.detach(DNS, ["forward"]);
    expect(host.dump()).toBe("");
  });

  /** As an administrator writes a rule into the chain. */
  async function administrate(): Promise<void> {
    const rule = backend === "nftables" ? "ip saddr 192.0.2.1 drop" : "-s 192.0.2.1/32 -j DROP";
    if (backend === "nftables") await host.nft.run(new NftTransaction().addRule({ ...AT, chain: "CNI-ADMIN", rule }));
    else await host.iptables.nft.run(4, new IptablesTransaction().append("filter", "CNI-ADMIN", rule));
  }

  it.runIf(backend === "iptables")(
    "takes an administrator's chain that is there as it is: no ADD and no DEL begins a second time for it",
    async () => {
      for (const family of [4, 6] as const) {
        const theirs = new IptablesTransaction()
          .newChain("filter", "CNI-ADMIN")
          .append("filter", "CNI-ADMIN", "-j RETURN");
        await host.iptables.nft.run(family, theirs);
      }
      const before = host.dump();
      for (const call of [() => firewall.attach(WEB, web), () => firewall.detach(WEB, ["forward"])]) {
        host.calls.length = 0;
        await call();
        expect(host.calls.filter((one) => one.startsWith("iptables"))).toEqual([
          "iptables-nft run",
          "iptables-nft run",
        ]);
      }
      expect(host.dump()).toBe(before);
    },
  );

  it("never touches an administrator's chain that says something, also when our last rule goes", async () => {
    await firewall.attach(WEB, web);
    await administrate();
    await firewall.detach(WEB, ["forward"]);
    const left = host.dump();
    expect(left).toMatch(/192\.0\.2\.1.*drop/i);
    expect(left).not.toContain("net1/web");
    expect(asked("CNI-ADMIN")).toBe(false);
    // Whatever comes and goes beside it, by whichever way.
    const masquerade = { masquerade: { addresses: addresses(6) } };
    await firewall.attach(DNS, masquerade);
    await firewall.detach(DNS, ["masquerade"]);
    expect(host.dump()).toBe(left);
    await firewall.attach(WEB, web);
    expect(asked("CNI-ADMIN")).toBe(true);
    await firewall.check(WEB, web);
    await firewall.reload();
    rmSync(host.root, { recursive: true });
    await firewall.detach(WEB, ["forward"]);
    expect(host.dump()).toBe(left);
  });

  it("cni row 5: collects by state and by tags, with what only the collected shared", async () => {
    await firewall.attach(WEB, forward({ ingress: "isolated" }));
    await firewall.attach(DNS, dns);
    await firewall.collect("net1", [DNS], ["forward"]);
    expect(walled()).toEqual([]);
    await firewall.check(DNS, dns);
    await firewall.attach(WEB, forward({ ingress: "isolated" }));
    rmSync(host.root, { recursive: true });
    await firewall.collect("net1", [DNS], ["forward"]);
    expect(host.dump()).toContain("net1/dns/eth0");
    expect(host.dump()).not.toContain("net1/web/eth0");
    expect(asked("CNI-ADMIN")).toBe(true);
    await firewall.collect("net1", [], ["forward"]);
    expect(host.dump()).toBe("");
  });

  it("keeps what it has no state of, walls included, until that one goes", async () => {
    await firewall.attach(WEB, forward({ ingress: "isolated", adminChain: "MY-RULES" }));
    rmSync(host.root, { recursive: true });
    await firewall.attach(DNS, dns);
    expect(walled().toSorted()).toEqual(["walls around br0", "walls inside br0"]);
    expect([asked("CNI-ADMIN"), asked("MY-RULES")]).toEqual([true, true]);
    await firewall.detach(DNS, ["forward"]);
    expect(walled().toSorted()).toEqual(["walls around br0", "walls inside br0"]);
    await firewall.detach(WEB, ["forward"]);
    expect(host.dump()).toBe("");
    expect(entryFiles()).toEqual([]);
  });

  it("cni row 7: reload and another attach put back what somebody flushed", async () => {
    const isolated = forward({ ingress: "isolated" });
    const flush = async () => {
      if (backend === "nftables") await host.nft.run(new NftTransaction().deleteTable("inet", "tsnet"));
      else
        for (const family of [4, 6] as const) {
          const tx = new IptablesTransaction();
          for (const chain of ["FORWARD", "TSNET-CONTAINERS", "TSNET-WALLS", "TSNET-WALLED"]) {
            tx.flushChain("filter", chain);
          }
          await host.iptables.nft.run(family, tx);
        }
    };
    await firewall.attach(WEB, isolated);
    const before = host.dump();
    for (const putBack of [() => firewall.reload(), () => firewall.attach(WEB, isolated)]) {
      await flush();
      await expect(firewall.check(WEB, isolated)).rejects.toMatchObject({ code: "check-failed" });
      await putBack();
      expect(sorted(host.dump())).toBe(sorted(before));
      await firewall.check(WEB, isolated);
    }
    await flush();
    await firewall.detach(WEB, ["forward"]);
    expect(host.dump()).toBe("");
  });

  it("an address belongs to whom it was given last", async () => {
    await firewall.attach(WEB, web);
    await firewall.attach(DNS, web);
    await firewall.detach(WEB, ["forward"]);
    await firewall.check(DNS, web);
    await firewall.detach(DNS, ["forward"]);
    expect(host.dump()).toBe("");
  });
});

/** Containers' rules stand in the order of their coming, which changes nothing. */
function sorted(dump: string): string {
  return dump.split("\n").sort().join("\n");
}

it("cni row 9: accepts in the iptables that holds rules, too, where our own rules are elsewhere", async () => {
  const forwardRules: Tools["forwardRules"] = async () => [
    { variant: "nft", drops: true },
    { variant: "legacy", drops: false },
  ];
  const firewall = await host.firewall("nftables", { forwardRules });
  await firewall.attach(WEB, forward({ ingress: "isolated" }));
  for (const variant of ["nft", "legacy"] as const) {
    expect(host.iptables[variant].dump(4)).toMatchInlineSnapshot(`
      "*filter
      :FORWARD ACCEPT
      :TSNET-CONTAINERS -
      :TSNET-WALLED -
      :TSNET-WALLS -
      -A FORWARD -j TSNET-CONTAINERS
      -A TSNET-CONTAINERS -j TSNET-WALLS
      -A TSNET-CONTAINERS -d 198.51.100.5/32 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
      -A TSNET-CONTAINERS -s 198.51.100.5/32 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -j ACCEPT
      COMMIT
      "
    `);
  }
  await firewall.detach(WEB, ["forward"]);
  expect(host.dump()).toBe("");
});

describe("with firewalld", () => {
  const trusted = forward({ firewalldZone: "trusted" });

  it("addresses are sources of the zone, and no rule is ours", async () => {
    const firewall = await host.firewall("iptables");
    await firewall.attach(WEB, trusted);
    expect(host.firewalld.dump()).toBe("trusted 198.51.100.5/32\ntrusted 2001:db8::5/128\n");
    expect(host.dump()).toBe("");
    await firewall.check(WEB, trusted);
    await firewall.detach(WEB, ["forward"]);
    expect(host.firewalld.dump()).toBe("");
    expect(entryFiles()).toEqual([]);
  });

  it("walls are ours, where the policy asks for them", async () => {
    const firewall = await host.firewall("iptables");
    const wish = forward({ firewalldZone: "trusted", ingress: "same-bridge" });
    await firewall.attach(WEB, wish);
    expect(host.iptables.nft.dump(4)).toContain("walls around br0");
    await firewall.check(WEB, wish);
    await firewall.detach(WEB, ["forward"]);
    expect([host.firewalld.dump(), host.dump()]).toEqual(["", ""]);
  });

  it("cni row 7: what a reload of firewalld forgets is missing, and put back by a reload of ours and by another ADD", async () => {
    const firewall = await host.firewall("iptables");
    await firewall.attach(WEB, trusted);
    for (const putBack of [() => firewall.reload(), () => firewall.attach(WEB, trusted)]) {
      host.firewalld.reload();
      expect(await firewall.missing()).toHaveLength(2);
      await expect(firewall.check(WEB, trusted)).rejects.toMatchObject({
        code: "check-failed",
        message: expect.stringContaining("missing source 198.51.100.5/32 of firewalld's zone trusted"),
      });
      await putBack();
      await firewall.check(WEB, trusted);
    }
  });

  it("another zone in the config moves the source", async () => {
    const firewall = await host.firewall("iptables");
    await firewall.attach(WEB, trusted);
    await firewall.attach(WEB, forward({ firewalldZone: "public" }));
    expect(host.firewalld.dump()).toBe("public 198.51.100.5/32\npublic 2001:db8::5/128\n");
  });

  it("a source that somebody has in another zone is an error, and nothing is left", async () => {
    await host.firewalld.addSources("public", ["2001:db8::5/128"]);
    const firewall = await host.firewall("iptables");
    await expect(firewall.attach(WEB, trusted)).rejects.toMatchObject({ code: "conflict" });
    expect(host.firewalld.dump()).toBe("public 2001:db8::5/128\n");
    expect(entryFiles()).toEqual([]);
  });

  it("a firewalld that ended takes its sources along: DEL succeeds, ADD says so", async () => {
    const firewall = await host.firewall("iptables");
    await firewall.attach(WEB, trusted);
    host.firewalld.stop();
    await expect(firewall.check(WEB, trusted)).rejects.toMatchObject({ code: "check-failed" });
    expect(await firewall.missing()).toEqual([]);
    await firewall.reload();
    await firewall.detach(WEB, ["forward"]);
    expect(entryFiles()).toEqual([]);
    await expect(firewall.attach(WEB, trusted)).rejects.toMatchObject({ code: "not-found" });
    expect(entryFiles()).toEqual([]);
  });
});
