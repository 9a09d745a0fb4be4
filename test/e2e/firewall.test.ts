import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accept } from "./firewall-call.ts";
import type { Host } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { publish, tcp } from "./published.ts";
import { BEYOND, HOST, world } from "./world.ts";

const SUBNETS = ["10.11.0.0/24", "fd11::/64"];

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

/** A container that is published and masqueraded, and somebody beyond; what the host forwards shows who is reached. */
async function connect(): Promise<void> {
  await publish(host, "web", {
    ports: [tcp(8080)],
    portmap: { backend: "nftables" },
    bridge: { ipMasq: true, ipMasqBackend: "nftables" },
  });
  await Promise.all([serve(host, "web", 80, "web"), serve(host, "beyond", 81, "beyond")]);
}

async function reached(): Promise<readonly string[]> {
  const asked = [
    ["in4", ask(host, "beyond", "tcp", HOST[4], 8080)],
    ["in6", ask(host, "beyond", "tcp", HOST[6], 8080)],
    ["out4", ask(host, "web", "tcp", BEYOND[4], 81)],
    ["out6", ask(host, "web", "tcp", BEYOND[6], 81)],
  ] as const;
  const answers = await Promise.all(asked.map(async ([name, answer]) => ((await answer) === undefined ? [] : [name])));
  return answers.flat();
}

const EVERYTHING = ["in4", "in6", "out4", "out6"];

describe("cni row 21, containers row 1: on a host that drops what it forwards", () => {
  it.each(["nft", "legacy"])(
    "in FORWARD of iptables-%s, containers are accepted first there, and nobody else is",
    async (variant) => {
      await connect();
      const before = await host.snapshot();
      await host.sh(`iptables-${variant} -P FORWARD DROP; ip6tables-${variant} -P FORWARD DROP`);
      expect(await reached()).toEqual([]);
      for (const backend of ["nftables", "iptables"] as const) {
        expect(await accept(host, "attach", backend, "br0", ...SUBNETS)).toMatchObject({ exitCode: 0, stderr: "" });
        expect(await reached()).toEqual(EVERYTHING);
        expect(await accept(host, "check", backend, "br0", ...SUBNETS)).toMatchObject({ exitCode: 0 });
        // What the container did not ask for and no published port leads to stays out.
        await host.sh("ip -n beyond route replace 10.11.0.0/24 via 192.168.50.1");
        expect(await ask(host, "beyond", "tcp", "10.11.0.2", 80)).toBeUndefined();
        await accept(host, "detach", backend);
      }
      await host.sh(`iptables-${variant} -P FORWARD ACCEPT; ip6tables-${variant} -P FORWARD ACCEPT; conntrack -F`);
      const flows = /# conntrack\n(.*\n)*# files/;
      expect((await host.snapshot()).replace(flows, "")).toBe(before.replace(flows, ""));
    },
  );

  it.each([
    [
      "Docker's",
      "iptables -N DOCKER-FORWARD; iptables -P FORWARD DROP; iptables -A FORWARD -j DOCKER-FORWARD; ip6tables -P FORWARD DROP",
    ],
    [
      "ufw's",
      "for i in iptables ip6tables; do $i -N ufw-reject; $i -A ufw-reject -j REJECT; $i -A FORWARD -j ufw-reject; $i -P FORWARD DROP; done",
    ],
  ])("with %s rules, containers are accepted before them", async (_, script) => {
    await connect();
    await host.sh(script);
    expect(await reached()).toEqual([]);
    expect(await accept(host, "attach", "nftables", "br0", ...SUBNETS)).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await reached()).toEqual(EVERYTHING);
  });

  it("an accept that was lost is seen by CHECK and put back by reload", async () => {
    await connect();
    await host.sh("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    await accept(host, "attach", "nftables", "br0", ...SUBNETS);
    await host.sh("iptables -F FORWARD; ip6tables -F FORWARD");
    const { stderr } = await accept(host, "check", "nftables", "br0", ...SUBNETS);
    expect(stderr).toContain("accept of net1/web/eth0: missing iptables -t filter -A FORWARD -j TSNET-FORWARD");
    await accept(host, "reload", "nftables");
    expect(await reached()).toEqual(EVERYTHING);
  });

  it.each([
    ["a policy", "chain forward { type filter hook forward priority 0; policy drop; }", "policy drop"],
    [
      "a last rule",
      "chain forward { type filter hook forward priority 10; ct state established accept; counter reject; }",
      "its rule of handle 3",
    ],
    [
      "a rule for what is new",
      "chain forward { type filter hook forward priority 10; ct state new drop; }",
      "its rule of handle 2",
    ],
  ])(
    "by %s in a table of somebody's nftables, nothing is changed, and the rule to add is told and suffices",
    async (_, chain, reason) => {
      await connect();
      await host.sh(`nft 'table inet filter { ${chain}; }'`);
      const before = await host.sh("nft -s list ruleset; iptables-save; find /run/tsnet -name '*.json'");
      expect(await reached()).toEqual([]);
      const { exitCode, stderr } = await accept(host, "attach", "iptables", "br0", ...SUBNETS);
      expect(exitCode).toBe(1);
      expect(stderr).toContain(
        `nftables chain inet filter forward drops what is forwarded to and from br0 (${reason})`,
      );
      expect(await host.sh("nft -s list ruleset; iptables-save; find /run/tsnet -name '*.json'")).toBe(before);
      const [, told = ""] = /add to it: (.*)/.exec(stderr) ?? [];
      for (const command of told.split("; ")) await host.ok(["sh", "-c", command.replace(/nft (.*)/, "nft '$1'")]);
      expect(await accept(host, "attach", "iptables", "br0", ...SUBNETS)).toMatchObject({ exitCode: 0, stderr: "" });
      expect(await reached()).toEqual(EVERYTHING);
    },
  );

  it("a table of somebody's that drops other people's packets is not minded", async () => {
    await connect();
    await host.sh(
      `nft 'table inet filter { chain forward { type filter hook forward priority 0; iifname "other0" drop; ip saddr 192.0.2.1 drop; }; }'`,
    );
    expect(await accept(host, "attach", "nftables", "br0", ...SUBNETS)).toMatchObject({ exitCode: 0, stderr: "" });
  });
});

describe.each(["nftables", "iptables"] as const)("cni row 7: after somebody flushed all rules of %s", (backend) => {
  it("reload puts those of all containers back, and they are reached again", async () => {
    await host.addNetns("none");
    for (const [id, port] of [
      ["one", 8081],
      ["two", 8082],
    ] as const) {
      const bridge = { ipMasq: true, ipMasqBackend: backend };
      await publish(host, id, { ports: [tcp(port)], portmap: { backend }, bridge });
      await serve(host, id, 80, id);
    }
    await serve(host, "beyond", 81, "beyond");
    await host.sh("nft flush ruleset");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8081)).toBeUndefined();
    expect(await accept(host, "reload", backend)).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await ask(host, "beyond", "tcp", HOST[4], 8081)).toBe(`one ${BEYOND[4]}`);
    expect(await ask(host, "beyond", "tcp", HOST[6], 8082)).toBe(`two ${BEYOND[6]}`);
    expect(await ask(host, "two", "tcp", BEYOND[4], 81)).toBe(`beyond ${HOST[4]}`);
  });
});
