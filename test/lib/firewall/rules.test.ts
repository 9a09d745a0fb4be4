import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { addresses, FakeHost, publish, tcp, udp, WEB } from "./fake-host.ts";

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost(mkdtempSync(join(tmpdir(), "tsnet-firewall-")));
});
afterEach(() => rmSync(host.root, { recursive: true }));

describe("the rules on nftables", () => {
  it("are two elements of a container that is masqueraded, beside what is there once", async () => {
    const firewall = await host.firewall("nftables");
    await firewall.attach(WEB, { masquerade: { addresses: addresses(5) } });
    expect(host.nft.dump()).toMatchInlineSnapshot(`
      "table inet tsnet {
      	set masquerade4 {
      		typeof ip saddr
      		elements = {
      			198.51.100.5 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0"
      		}
      	}

      	set masquerade6 {
      		typeof ip6 saddr
      		elements = {
      			2001:db8::5 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0"
      		}
      	}

      	set own4 {
      		typeof ip saddr . ip daddr
      		flags interval
      		elements = {
      			198.51.100.5 . 198.51.100.0/24 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0"
      		}
      	}

      	set own6 {
      		typeof ip6 saddr . ip6 daddr
      		flags interval
      		elements = {
      			2001:db8::5 . 2001:db8::/64 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0"
      		}
      	}

      	chain masquerade-postrouting {
      		type nat hook postrouting priority 100; policy accept;
      		ip daddr 224.0.0.0/4 return
      		ip6 daddr ff00::/8 return
      		ip saddr . ip daddr @own4 return
      		ip6 saddr . ip6 daddr @own6 return
      		ip saddr @masquerade4 masquerade
      		ip6 saddr @masquerade6 masquerade
      	}
      }
      "
    `);
  });

  it("lead each mapping by one element, and know what comes back through the host", async () => {
    const firewall = await host.firewall("nftables");
    const mappings = [tcp(8080), { ...udp(8053), hostIp: parseAddress("192.0.2.1") }];
    await firewall.attach(WEB, { publish: publish({ mappings }) });
    expect(elements(host.nft.dump())).toMatchInlineSnapshot(`
      "publish4 { 192.0.2.1 . udp . 8053 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" : 198.51.100.5 . 53 }
      publish4-any { tcp . 8080 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" : 198.51.100.5 . 80 }
      publish6-any { tcp . 8080 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" : 2001:db8::5 . 80 }
      hairpin4 { 198.51.100.5 . tcp . 8080 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" }
      hairpin4 { 198.51.100.5 . udp . 8053 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" }
      hairpin6 { 2001:db8::5 . tcp . 8080 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" }
      near4 { 198.51.100.0/24 . 198.51.100.5 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" }
      near6 { 2001:db8::/64 . 2001:db8::5 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" }"
    `);
  });

  it("masquerade everything with masqAll, nothing without snat", async () => {
    const firewall = await host.firewall("nftables");
    await firewall.attach(WEB, { publish: publish({ mappings: [tcp(8080)], masqAll: true }) });
    expect(elements(host.nft.dump(), "hairpin")).toMatchInlineSnapshot(`
      "hairpin4-all { 198.51.100.5 . tcp . 8080 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" }
      hairpin6-all { 2001:db8::5 . tcp . 8080 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" }"
    `);
    await firewall.attach(WEB, { publish: publish({ mappings: [tcp(8080)], snat: false }) });
    expect(elements(host.nft.dump(), "hairpin")).toBe("");
  });

  it("put conditions of the user's into a chain of the container's", async () => {
    const firewall = await host.firewall("nftables");
    const conditionsV4 = ["ip", "saddr", "!=", "192.0.2.0/24"];
    await firewall.attach(WEB, { publish: publish({ mappings: [tcp(8080), tcp(8081)], conditionsV4 }) });
    const dump = host.nft.dump();
    expect(elements(dump, "conditional")).toMatchInlineSnapshot(`
      "conditional4 { tcp . 8080 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" : jump if-6c270ef2.b54fe5ecccb49c12-4 }
      conditional4 { tcp . 8081 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" : jump if-6c270ef2.b54fe5ecccb49c12-4 }"
    `);
    expect(dump.slice(dump.indexOf("\tchain if-"))).toMatchInlineSnapshot(`
      "	chain if-6c270ef2.b54fe5ecccb49c12-4 {
      		ip saddr != 192.0.2.0/24 tcp dport 8080 dnat ip to 198.51.100.5:80 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0"
      		ip saddr != 192.0.2.0/24 tcp dport 8081 dnat ip to 198.51.100.5:80 comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0"
      	}
      }
      "
    `);
    await firewall.detach(WEB, ["publish"]);
    expect(host.dump()).toBe("");
  });
});

describe("the rules on iptables", () => {
  it("are one rule of a container that is masqueraded, in a chain that is jumped to once", async () => {
    const firewall = await host.firewall("iptables");
    await firewall.attach(WEB, { masquerade: { addresses: addresses(5) } });
    expect(host.iptables.nft.dump(4)).toMatchInlineSnapshot(`
      "*nat
      :POSTROUTING ACCEPT
      :TSNET-MASQUERADE -
      -A POSTROUTING -j TSNET-MASQUERADE
      -A TSNET-MASQUERADE -d 224.0.0.0/4 -j RETURN
      -A TSNET-MASQUERADE -s 198.51.100.5/32 ! -d 198.51.100.0/24 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -j MASQUERADE
      COMMIT
      "
    `);
    expect(host.iptables.nft.dump(6)).toMatchInlineSnapshot(`
      "*nat
      :POSTROUTING ACCEPT
      :TSNET-MASQUERADE -
      -A POSTROUTING -j TSNET-MASQUERADE
      -A TSNET-MASQUERADE -d ff00::/8 -j RETURN
      -A TSNET-MASQUERADE -s 2001:db8::5/128 ! -d 2001:db8::/64 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -j MASQUERADE
      COMMIT
      "
    `);
  });

  it("mark and redirect each mapping, and guard 127.0.0.0/8", async () => {
    const firewall = await host.firewall("iptables");
    const mappings = [tcp(8080), { ...udp(8053), hostIp: parseAddress("192.0.2.1") }];
    await firewall.attach(WEB, { publish: publish({ mappings }) });
    expect(host.iptables.nft.dump(4)).toMatchInlineSnapshot(`
      "*nat
      :OUTPUT ACCEPT
      :POSTROUTING ACCEPT
      :PREROUTING ACCEPT
      :TSNET-DNAT -
      :TSNET-HAIRPIN -
      -A OUTPUT -m addrtype --dst-type LOCAL -j TSNET-DNAT
      -A POSTROUTING -j TSNET-HAIRPIN
      -A PREROUTING -m addrtype --dst-type LOCAL -j TSNET-DNAT
      -A TSNET-DNAT -s 198.51.100.0/24 -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j MARK --set-xmark 0x2000/0x2000
      -A TSNET-DNAT -s 127.0.0.0/8 -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j MARK --set-xmark 0x2000/0x2000
      -A TSNET-DNAT -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j DNAT --to-destination 198.51.100.5:80
      -A TSNET-DNAT -s 198.51.100.0/24 -d 192.0.2.1/32 -p udp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m udp --dport 8053 -j MARK --set-xmark 0x2000/0x2000
      -A TSNET-DNAT -s 127.0.0.0/8 -d 192.0.2.1/32 -p udp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m udp --dport 8053 -j MARK --set-xmark 0x2000/0x2000
      -A TSNET-DNAT -d 192.0.2.1/32 -p udp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m udp --dport 8053 -j DNAT --to-destination 198.51.100.5:53
      -A TSNET-HAIRPIN -d 198.51.100.5/32 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m mark --mark 0x2000/0x2000 -j MASQUERADE
      COMMIT
      *raw
      :PREROUTING ACCEPT
      :TSNET-GUARD -
      -A PREROUTING -j TSNET-GUARD
      -A TSNET-GUARD -d 127.0.0.0/8 ! -i lo -j DROP
      -A TSNET-GUARD -s 127.0.0.0/8 ! -i lo -j DROP
      COMMIT
      "
    `);
    expect(host.iptables.nft.dump(6)).toMatchInlineSnapshot(`
      "*nat
      :OUTPUT ACCEPT
      :POSTROUTING ACCEPT
      :PREROUTING ACCEPT
      :TSNET-DNAT -
      :TSNET-HAIRPIN -
      -A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j TSNET-DNAT
      -A POSTROUTING -j TSNET-HAIRPIN
      -A PREROUTING -m addrtype --dst-type LOCAL -j TSNET-DNAT
      -A TSNET-DNAT -s 2001:db8::/64 -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j MARK --set-xmark 0x2000/0x2000
      -A TSNET-DNAT -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j DNAT --to-destination [2001:db8::5]:80
      -A TSNET-HAIRPIN -d 2001:db8::5/128 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m mark --mark 0x2000/0x2000 -j MASQUERADE
      COMMIT
      "
    `);
  });

  it("take the mark bit, masqAll, snat or somebody else's marking chain as the config says", async () => {
    const firewall = await host.firewall("iptables");
    const own = async (more: object) => {
      const wish = publish({ mappings: [tcp(8080)], addresses: [parseCidr("198.51.100.5/24")], ...more });
      await firewall.attach(WEB, { publish: wish });
      const rules = host.iptables.nft.dump(4).matchAll(/-A TSNET-(?:DNAT|HAIRPIN) .*/g);
      return [...rules].map(([rule]) => rule.replace(/ -m comment --comment "[^"]*"/, ""));
    };
    expect(await own({ markMasqBit: 31 })).toEqual([
      "-A TSNET-DNAT -s 198.51.100.0/24 -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x80000000/0x80000000",
      "-A TSNET-DNAT -s 127.0.0.0/8 -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x80000000/0x80000000",
      "-A TSNET-DNAT -p tcp -m tcp --dport 8080 -j DNAT --to-destination 198.51.100.5:80",
      "-A TSNET-HAIRPIN -d 198.51.100.5/32 -m mark --mark 0x80000000/0x80000000 -j MASQUERADE",
    ]);
    expect(await own({ masqAll: true })).toEqual([
      "-A TSNET-DNAT -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x2000/0x2000",
      "-A TSNET-DNAT -p tcp -m tcp --dport 8080 -j DNAT --to-destination 198.51.100.5:80",
      "-A TSNET-HAIRPIN -d 198.51.100.5/32 -m mark --mark 0x2000/0x2000 -j MASQUERADE",
    ]);
    expect(await own({ snat: false })).toEqual([
      "-A TSNET-DNAT -p tcp -m tcp --dport 8080 -j DNAT --to-destination 198.51.100.5:80",
    ]);
    expect(await own({ externalSetMarkChain: "ACCEPT", masqAll: true })).toEqual([
      "-A TSNET-DNAT -p tcp -m tcp --dport 8080 -j ACCEPT",
      "-A TSNET-DNAT -p tcp -m tcp --dport 8080 -j DNAT --to-destination 198.51.100.5:80",
    ]);
  });

  it("put conditions of the user's before a chain of the container's", async () => {
    const firewall = await host.firewall("iptables");
    const conditionsV4 = ["!", "-s", "192.0.2.0/24"];
    const wish = publish({ mappings: [tcp(8080)], addresses: [parseCidr("198.51.100.5/24")], conditionsV4 });
    await firewall.attach(WEB, { publish: wish });
    expect(host.iptables.nft.dump(4)).toMatchInlineSnapshot(`
      "*nat
      :OUTPUT ACCEPT
      :POSTROUTING ACCEPT
      :PREROUTING ACCEPT
      :TSNET-DNAT -
      :TSNET-HAIRPIN -
      :TSNET-IF-b54fe5ecccb49c12 -
      -A OUTPUT -m addrtype --dst-type LOCAL -j TSNET-DNAT
      -A POSTROUTING -j TSNET-HAIRPIN
      -A PREROUTING -m addrtype --dst-type LOCAL -j TSNET-DNAT
      -A TSNET-DNAT ! -s 192.0.2.0/24 -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j TSNET-IF-b54fe5ecccb49c12
      -A TSNET-HAIRPIN -d 198.51.100.5/32 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m mark --mark 0x2000/0x2000 -j MASQUERADE
      -A TSNET-IF-b54fe5ecccb49c12 -s 198.51.100.0/24 -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j MARK --set-xmark 0x2000/0x2000
      -A TSNET-IF-b54fe5ecccb49c12 -s 127.0.0.0/8 -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j MARK --set-xmark 0x2000/0x2000
      -A TSNET-IF-b54fe5ecccb49c12 -p tcp -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m tcp --dport 8080 -j DNAT --to-destination 198.51.100.5:80
      COMMIT
      *raw
      :PREROUTING ACCEPT
      :TSNET-GUARD -
      -A PREROUTING -j TSNET-GUARD
      -A TSNET-GUARD -d 127.0.0.0/8 ! -i lo -j DROP
      -A TSNET-GUARD -s 127.0.0.0/8 ! -i lo -j DROP
      COMMIT
      "
    `);
    await firewall.detach(WEB, ["publish"]);
    expect(host.dump()).toBe("");
  });

  it("accept forwarding from and to the container's address", async () => {
    const firewall = await host.firewall("iptables", { hasNft: () => false });
    await firewall.attach(WEB, { accept: { link: "br0", addresses: [parseCidr("198.51.100.5/32")] } });
    expect(host.iptables.nft.dump(4)).toMatchInlineSnapshot(`
      "*filter
      :FORWARD ACCEPT
      :TSNET-FORWARD -
      -A FORWARD -j TSNET-FORWARD
      -A TSNET-FORWARD -s 198.51.100.5/32 -i br0 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -j ACCEPT
      -A TSNET-FORWARD -d 198.51.100.5/32 -o br0 -m comment --comment "6c270ef2.b54fe5ecccb49c12 net1/web/eth0" -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
      COMMIT
      "
    `);
  });
});

/** The elements of the sets and maps whose name begins with `prefix`, each with its set's name. */
function elements(dump: string, prefix = ""): string {
  const lines: string[] = [];
  for (const [, set = "", body = ""] of dump.matchAll(/^\t(?:set|map) (\S+) \{\n(.*?)^\t\}/gms)) {
    for (const [, element] of body.matchAll(/^\t\t\t(.*?),?$/gm))
      if (set.startsWith(prefix)) lines.push(`${set} { ${element} }`);
  }
  return lines.join("\n");
}
