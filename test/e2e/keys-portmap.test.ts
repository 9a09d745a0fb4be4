/** Keys of portmap that no other test shows by packets. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { publish, tcp } from "./published.ts";
import { BEYOND, HOST, world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

/** A container with port 8080 of the host, and a server behind it. */
async function web(portmap: Readonly<Record<string, unknown>>): Promise<void> {
  await publish(host, "web", { ports: [tcp(8080)], portmap });
  await serve(host, "web", 80, "web");
}

describe.each(["iptables", "nftables"])("portmap on %s", (backend) => {
  it("masqAll: the container sees the host's address whoever asks", async () => {
    await web({ backend, masqAll: true });
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe("web 10.11.0.1");
    expect(await ask(host, "beyond", "tcp", HOST[6], 8080)).toBe("web fd11::1");
  });

  it("snat: without it nobody is masqueraded, so that the host does not get there by 127.0.0.1", async () => {
    await web({ backend, snat: false });
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    expect(await ask(host, "", "tcp", "127.0.0.1", 8080)).toBeUndefined();
  });

  it("protocol: sctp has rules as tcp and udp have", async () => {
    await publish(host, "web", {
      ports: [{ hostPort: 8080, containerPort: 80, protocol: "sctp" }],
      portmap: { backend },
    });
    const rules = await host.ok(backend === "iptables" ? ["iptables-save", "-t", "nat"] : ["nft", "list", "ruleset"]);
    expect(rules).toMatch(
      backend === "iptables"
        ? /-p sctp .*--dport 8080 -j DNAT --to-destination 10\.11\.0\.2:80\n/
        : /sctp \. 8080 comment "[^"]*" : 10\.11\.0\.2 \. 80/,
    );
  });

  it("conditionsV4 and conditionsV6: each holds for its family", async () => {
    const conditions =
      backend === "iptables"
        ? { conditionsV4: ["!", "-d", "192.0.2.0/24"], conditionsV6: ["!", "-s", `${BEYOND[6]}/128`] }
        : { conditionsV4: ["ip daddr != 192.0.2.0/24"], conditionsV6: ["ip6", "saddr", "!=", BEYOND[6]] };
    await web({ backend, ...conditions });
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    expect(await ask(host, "beyond", "tcp", HOST[6], 8080)).toBeUndefined();
    expect(await ask(host, "", "tcp", HOST[6], 8080)).toBe(`web ${HOST[6]}`);
  });
});

it("markMasqBit: that bit of the mark is set on what is masqueraded, and no other", async () => {
  await web({ backend: "iptables", markMasqBit: 20 });
  expect(await ask(host, "", "tcp", "127.0.0.1", 8080)).toBe("web 10.11.0.1");
  const rules = await host.ok(["iptables", "-t", "nat", "-S"]);
  expect(new Set(rules.match(/0x[0-9a-f]+\b/g))).toEqual(new Set(["0x100000"]));
});

it("externalSetMarkChain: that chain marks, and who made it masquerades", async () => {
  await host.sh(`
    iptables -t nat -N THEIR-MARK; iptables -t nat -A THEIR-MARK -j MARK --set-xmark 0x4000/0x4000
    iptables -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE; ip6tables -t nat -N THEIR-MARK
  `);
  await web({ externalSetMarkChain: "THEIR-MARK" });
  expect(await ask(host, "", "tcp", "127.0.0.1", 8080)).toBe("web 10.11.0.1");
  expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
  const rules = await host.ok(["iptables-save", "-t", "nat"]);
  expect(rules.match(/.*(MASQUERADE|MARK --set).*/g)).toEqual([
    "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE",
    "-A THEIR-MARK -j MARK --set-xmark 0x4000/0x4000",
  ]);
});
