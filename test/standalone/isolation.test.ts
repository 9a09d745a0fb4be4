/** The walls around networks, as rules of both back ends. */
import { describe, expect, test } from "vitest";
import type { Tools } from "../../lib/firewall/tools.ts";
import { fakeIptables } from "../../lib/iptables/iptables.fake.ts";
import { IptablesTransaction } from "../../lib/iptables/transaction.ts";
import { fakeNft } from "../../lib/nft/nft.fake.ts";
import { NftTransaction } from "../../lib/nft/transaction.ts";
import { parseProject } from "../../standalone/file/file.ts";
import { isolate, missingIsolation } from "../../standalone/isolation/isolation.ts";
import { isWalled, wallsOf } from "../../standalone/isolation/walls.ts";
import { planUp } from "../../standalone/plan/plan.ts";
import type { Situation } from "../../standalone/plan/situation.ts";
import type { NetworkRecord } from "../../standalone/state/records.ts";

function network(name: string, more: Partial<NetworkRecord> = {}): NetworkRecord {
  return {
    id: `p.${name}`,
    project: "p",
    name,
    bridge: `br-${name}`,
    ownsBridge: true,
    subnets: ["10.88.1.0/24", "fd88:1::/64"],
    gateways: ["10.88.1.1", "fd88:1::1"],
    masquerade: true,
    options: {},
    fingerprint: "",
    ...more,
  };
}

function fakes() {
  const [nft, iptables] = [fakeNft(), fakeIptables()];
  const tools: Tools = {
    root: "/nowhere",
    nft: async () => nft,
    iptables: async () => iptables,
    conntrack: () => Promise.reject(new Error("nobody asks for flows")),
    firewalld: () => Promise.reject(new Error("nobody asks for firewalld")),
    adminChain: () => Promise.reject(new Error("nobody asks for an administrator's chain")),
    forwardRules: () => Promise.reject(new Error("nobody asks for FORWARD")),
    hasNft: () => true,
    legacyIsLoaded: () => false,
    detectVariant: async () => "nft",
    surveyVariants: async () => ({ variant: "nft", holdRules: [] }),
  };
  return { nft, iptables, tools };
}

const nftables = { options: { backend: "nftables" } } as const;
/** One of each kind: walled, internal, on somebody else's bridge, open to another, open to all. */
const ALL = [
  network("a", nftables),
  network("b", { ...nftables, internal: true }),
  network("c", { ...nftables, ownsBridge: false, open: ["p.a"] }),
  network("d", { ...nftables, open: ["*"] }),
];

describe("walls", () => {
  test("open both ways, whichever network says so, and of an open network only inwards", () => {
    const [a, b, c, d] = ALL;
    if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four networks");
    expect(isWalled({ from: a, to: c })).toBe(false);
    expect(isWalled({ from: c, to: a })).toBe(false);
    expect(isWalled({ from: a, to: d })).toBe(false);
    expect(isWalled({ from: d, to: a })).toBe(true);
    expect(isWalled({ from: undefined, to: d })).toBe(false);
    expect(isWalled({ from: undefined, to: a })).toBe(true);
    expect(isWalled({ from: a, to: a })).toBe(false);
    expect(isWalled({ from: b, to: d })).toBe(true);
  });

  test("of one back end know of the networks that are open to its own", () => {
    const [a, c] = [network("a"), network("c", { open: ["p.a"] })];
    expect(wallsOf([a, c], [c])).toEqual({
      pairs: [
        ["br-a", "br-c"],
        ["br-c", "br-a"],
        ["br-c", "br-c"],
      ],
      isolated: [{ bridge: "br-c" }],
      internal: [],
    });
  });
});

describe("walls by nftables", () => {
  test("are a table of their own, with all that differs in its sets", async () => {
    const { nft, iptables, tools } = fakes();
    await isolate(ALL, tools);
    expect(nft.dump()).toBe(NFT);
    expect(iptables.dump(4) + iptables.dump(6)).toBe("");
    expect(await missingIsolation(ALL, tools)).toBeUndefined();
  });

  test("are written anew where a rule or an element is missing, or one more is there", async () => {
    const { nft, tools } = fakes();
    const at = { family: "inet", table: "tsnet-isolation" } as const;
    for (const [damage, told] of [
      [new NftTransaction().flushChain({ ...at, chain: "loopback" }), "rules of chain inet tsnet-isolation loopback"],
      [
        new NftTransaction().insertRule({ ...at, chain: "forward", rule: "accept" }),
        "rules of chain inet tsnet-isolation forward",
      ],
      [new NftTransaction().flushSet({ ...at, set: "isolated" }), "elements of set inet tsnet-isolation isolated"],
      [new NftTransaction().deleteTable("inet", "tsnet-isolation"), "table inet tsnet-isolation"],
    ] as const) {
      await isolate(ALL, tools);
      await nft.run(damage);
      expect(await missingIsolation(ALL, tools)).toBe(told);
      await isolate(ALL, tools);
      expect(nft.dump()).toBe(NFT);
    }
  });

  test("follow the networks, leave the administrator's chain, and go without a trace where it is empty", async () => {
    const { nft, tools } = fakes();
    await isolate(ALL, tools);
    const user = { family: "inet", table: "tsnet-isolation", chain: "user" } as const;
    await nft.run(new NftTransaction().addRule({ ...user, rule: "ip saddr 192.0.2.1 accept" }));
    await isolate(ALL.slice(0, 1), tools);
    expect(nft.dump()).toContain('"br-a"');
    expect(nft.dump()).not.toContain("br-b");
    await isolate([], tools);
    expect(nft.dump()).toBe("table inet tsnet-isolation {\n\tchain user {\n\t\tip saddr 192.0.2.1 accept\n\t}\n}\n");
    await nft.run(new NftTransaction().flushChain(user));
    await isolate([], tools);
    expect(nft.dump()).toBe("");
  });
});

describe("walls by iptables", () => {
  const iptablesToo = ALL.map((one) => ({ ...one, options: {} }));

  test("are chains in mangle and raw, led to first", async () => {
    const { nft, iptables, tools } = fakes();
    await iptables.run(4, new IptablesTransaction().append("mangle", "FORWARD", "-j ACCEPT"));
    await isolate(iptablesToo, tools);
    expect(iptables.dump(4)).toBe(IPTABLES);
    expect(iptables.dump(6)).toBe(IP6TABLES);
    expect(nft.dump()).toBe("");
    expect(await missingIsolation(iptablesToo, tools)).toBeUndefined();
  });

  test("are written anew where somebody flushed them, or put a rule before them", async () => {
    const { iptables, tools } = fakes();
    await isolate(iptablesToo, tools);
    const whole = iptables.dump(4);
    for (const [damage, told] of [
      [new IptablesTransaction().flushChain("raw", "TSNET-LOOPBACK"), "rules of chain TSNET-LOOPBACK in the table raw"],
      [
        new IptablesTransaction().delete("mangle", "FORWARD", "-j TSNET-ISOLATION"),
        "rules of chain TSNET-ISOLATION in the table mangle",
      ],
    ] as const) {
      await iptables.run(4, damage);
      expect(await missingIsolation(iptablesToo, tools)).toBe(told);
      await isolate(iptablesToo, tools);
      expect(iptables.dump(4)).toBe(whole);
    }
    const guard = new IptablesTransaction()
      .newChain("raw", "TSNET-GUARD")
      .insert("raw", "PREROUTING", "-j TSNET-GUARD");
    await iptables.run(4, guard);
    const guarded = iptables.dump(4);
    await iptables.run(4, new IptablesTransaction().delete("raw", "PREROUTING", "-j TSNET-LOOPBACK"));
    await isolate(iptablesToo, tools);
    expect(iptables.dump(4)).toBe(guarded);
    const unguard = new IptablesTransaction().delete("raw", "PREROUTING", "-j TSNET-GUARD");
    await iptables.run(4, unguard.deleteChain("raw", "TSNET-GUARD"));
    await iptables.run(4, new IptablesTransaction().insert("mangle", "FORWARD", "-j ACCEPT"));
    await isolate(iptablesToo, tools);
    expect(iptables.dump(4)).toContain("-A FORWARD -j TSNET-ISOLATION\n-A FORWARD -j ACCEPT\n");
  });
});

describe("the keys internal, isolation and open_to", () => {
  const project = (networks: string, container = "networks: [front, back]") =>
    parseProject(
      `name: p\nnetworks:\n${networks}\ncontainers:\n  web: { ${container}, command: [serve] }\n`,
      "/srv/p/tsnet.yaml",
    );
  const now: Situation = {
    networks: [],
    containers: [],
    netnsNames: [],
    bootId: "boot",
    facts: { taken: [], links: new Map(), routedLinks: [], listeners: [], ownerOf: () => undefined, mtu: undefined },
  };

  test("come to what is kept of a network, other networks by their ids", () => {
    const { addNetworks } = planUp(
      project(
        "  front: { open_to: [back, q.far] }\n  back: { isolation: false }\n  in: { internal: true }",
        "networks: [front, back, in]",
      ),
      now,
    );
    expect(addNetworks.map(({ name, internal, open, masquerade }) => ({ name, internal, open, masquerade }))).toEqual([
      { name: "front", internal: undefined, open: ["p.back", "q.far"], masquerade: true },
      { name: "back", internal: undefined, open: ["*"], masquerade: true },
      { name: "in", internal: true, open: undefined, masquerade: false },
    ]);
  });

  test("know a network of another project by the name that the file gives it", () => {
    const networks = [network("far", { id: "q.far", project: "q" })];
    const wanted = project("  front: { open_to: [there] }\n  there: { external: q.far }", "networks: [front]");
    expect(planUp(wanted, { ...now, networks }).addNetworks[0]?.open).toEqual(["q.far"]);
  });

  test("are followed under running containers, but for internal", () => {
    const first = planUp(project("  front: {}\n  back: {}"), now);
    const later = { ...now, networks: first.addNetworks };
    expect(planUp(project("  front: {}\n  back: {}"), later).openNetworks).toEqual([]);
    const opened = planUp(project("  front: { open_to: [back] }\n  back: {}"), later);
    expect(opened.openNetworks).toEqual([{ ...first.addNetworks[0], open: ["p.back"] }]);
    expect(opened.removeNetworks).toEqual([]);
    const closed = planUp(project("  front: {}\n  back: {}"), { ...now, networks: opened.openNetworks });
    expect(closed.openNetworks).toEqual([first.addNetworks[0]]);
    const internal = planUp(project("  front: { internal: true }\n  back: {}"), later);
    expect(internal.removeNetworks).toEqual([first.addNetworks[0]]);
  });

  test("give ports and the default route to the first network that packets leave", () => {
    const wanted = project("  front: { internal: true }\n  back: {}", 'networks: [front, back], ports: ["80:80"]');
    const [web] = planUp(wanted, now).addContainers;
    expect(web?.attachments.map(({ capabilityArgs }) => Object.keys(capabilityArgs))).toEqual([[], ["portMappings"]]);
    expect(web?.attachments.map(({ list }) => /"isDefaultGateway": (\w+)/.exec(list)?.[1])).toEqual(["false", "true"]);
  });

  test.each([
    [
      "front: { open_to: [bakc] }",
      'networks.front.open_to: unknown network "bakc", did you mean "back"?; there are front, back',
    ],
    ["front: { open_to: [front] }", "networks.front.open_to: a network is open to itself: name another"],
    [
      "front: { isolation: false, open_to: [back] }",
      "networks.front.open_to: isolation: false opens the network to everybody: leave out one of the two",
    ],
    [
      "front: { isolation: false, internal: true }",
      "networks.front.isolation: found false, but an internal network lets nobody in: leave out one of the two",
    ],
    [
      "front: { open_to: [a.b.c] }",
      'networks.front.open_to[0]: found "a.b.c", allowed is a network of this file, or one of another project as PROJECT.NETWORK',
    ],
  ])("%s is a mistake", (front, message) => {
    expect(() => project(`  ${front}\n  back: {}`)).toThrow(`: ${message}`);
  });
});

const NFT = `table inet tsnet-isolation {
	set open {
		typeof iifname . oifname
		elements = {
			"br-a" . "br-a"
			"br-a" . "br-c"
			"br-b" . "br-b"
			"br-c" . "br-a"
			"br-c" . "br-c"
			"br-d" . "br-d"
		}
	}

	set internal {
		typeof iifname
		elements = {
			"br-b"
		}
	}

	set isolated {
		typeof oifname
		elements = {
			"br-a"
		}
	}

	set isolated4 {
		typeof oifname . ip daddr
		flags interval
		elements = {
			"br-c" . 10.88.1.0/24
		}
	}

	set isolated6 {
		typeof oifname . ip6 daddr
		flags interval
		elements = {
			"br-c" . fd88:1::/64
		}
	}

	chain user {
	}

	chain forward {
		type filter hook forward priority -5; policy accept;
		jump user
		iifname . oifname @open accept
		iifname @internal drop
		oifname @internal drop
		ct state established,related accept
		ct status dnat accept
		oifname @isolated drop
		oifname . ip daddr @isolated4 drop
		oifname . ip6 daddr @isolated6 drop
	}

	chain input {
		type filter hook input priority -5; policy accept;
		iifname @internal jump inside
	}

	chain loopback {
		type filter hook prerouting priority -300; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname != "lo" ip saddr 127.0.0.0/8 drop
	}

	chain inside {
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		jump user
		drop
	}
}
`;

const IPTABLES = `*mangle
:FORWARD ACCEPT
:INPUT ACCEPT
:TSNET-INSIDE -
:TSNET-ISOLATION -
:TSNET-USER -
-A FORWARD -j TSNET-ISOLATION
-A FORWARD -j ACCEPT
-A INPUT -j TSNET-INSIDE
-A TSNET-INSIDE -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A TSNET-INSIDE -i br-b -j TSNET-USER
-A TSNET-INSIDE -i br-b -j DROP
-A TSNET-ISOLATION -j TSNET-USER
-A TSNET-ISOLATION -i br-a -o br-a -j RETURN
-A TSNET-ISOLATION -i br-a -o br-c -j RETURN
-A TSNET-ISOLATION -i br-b -o br-b -j RETURN
-A TSNET-ISOLATION -i br-c -o br-a -j RETURN
-A TSNET-ISOLATION -i br-c -o br-c -j RETURN
-A TSNET-ISOLATION -i br-d -o br-d -j RETURN
-A TSNET-ISOLATION -i br-b -j DROP
-A TSNET-ISOLATION -o br-b -j DROP
-A TSNET-ISOLATION -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A TSNET-ISOLATION -m conntrack --ctstate DNAT -j RETURN
-A TSNET-ISOLATION -o br-a -j DROP
-A TSNET-ISOLATION -d 10.88.1.0/24 -o br-c -j DROP
COMMIT
*raw
:PREROUTING ACCEPT
:TSNET-LOOPBACK -
-A PREROUTING -j TSNET-LOOPBACK
-A TSNET-LOOPBACK -d 127.0.0.0/8 ! -i lo -j DROP
-A TSNET-LOOPBACK -s 127.0.0.0/8 ! -i lo -j DROP
COMMIT
`;

const IP6TABLES = `*mangle
:FORWARD ACCEPT
:INPUT ACCEPT
:TSNET-INSIDE -
:TSNET-ISOLATION -
:TSNET-USER -
-A FORWARD -j TSNET-ISOLATION
-A INPUT -j TSNET-INSIDE
-A TSNET-INSIDE -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A TSNET-INSIDE -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j RETURN
-A TSNET-INSIDE -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j RETURN
-A TSNET-INSIDE -i br-b -j TSNET-USER
-A TSNET-INSIDE -i br-b -j DROP
-A TSNET-ISOLATION -j TSNET-USER
-A TSNET-ISOLATION -i br-a -o br-a -j RETURN
-A TSNET-ISOLATION -i br-a -o br-c -j RETURN
-A TSNET-ISOLATION -i br-b -o br-b -j RETURN
-A TSNET-ISOLATION -i br-c -o br-a -j RETURN
-A TSNET-ISOLATION -i br-c -o br-c -j RETURN
-A TSNET-ISOLATION -i br-d -o br-d -j RETURN
-A TSNET-ISOLATION -i br-b -j DROP
-A TSNET-ISOLATION -o br-b -j DROP
-A TSNET-ISOLATION -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A TSNET-ISOLATION -m conntrack --ctstate DNAT -j RETURN
-A TSNET-ISOLATION -o br-a -j DROP
-A TSNET-ISOLATION -d fd88:1::/64 -o br-c -j DROP
COMMIT
`;
