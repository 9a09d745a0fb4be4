import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FirewallConf, NAMES, protect, remove } from "./firewalled.ts";
import { type CniOutput, type Host, TSNET } from "./host.ts";
import { listenIn, matrix } from "./reach.ts";
import { world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

const A1 = { id: "a1", netns: "/run/netns/a1" };
const { a1, b1 } = NAMES;

async function well(call: Promise<CniOutput>): Promise<void> {
  const out = await call;
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
}
const message = (json: unknown) => (json as { msg: string }).msg;

describe.each(["iptables", "nftables"])("the firewall plugin on %s", (backend) => {
  /** The administrator accepts all. */
  const administrate = () =>
    backend === "nftables"
      ? host.ok(["nft", "add", "rule", "inet", "tsnet", "CNI-ADMIN", "accept"])
      : host.sh(`iptables -A CNI-ADMIN -j ACCEPT; ip6tables -A CNI-ADMIN -j ACCEPT`);
  const adminChain = () =>
    backend === "nftables"
      ? host.ok(["nft", "-s", "list", "chain", "inet", "tsnet", "CNI-ADMIN"])
      : host.sh("iptables -S CNI-ADMIN; ip6tables -S CNI-ADMIN");

  it("asks the administrator first, whose word ends it, and never touches that chain", async () => {
    const [conf, other] = [
      await protect(host, "a1", { backend, ingressPolicy: "isolated" }),
      await protect(host, "b1", { backend, ingressPolicy: "isolated" }),
    ];
    await listenIn(host, ["a1", "b1"]);
    const reach = () => matrix(host, ["a1", "b1"], { a1, b1 });
    expect(await reach()).toBe("a1:\nb1:");
    await administrate();
    expect(await reach()).toBe("a1: b1\nb1: a1");
    const said = await adminChain();
    await well(host.cni("ADD", "firewall", conf, A1));
    await host.ok([TSNET, "network", "reload"]);
    expect(await adminChain()).toBe(said);
    await well(host.cni("DEL", "firewall", conf, { id: "a1" }));
    await well(host.cni("DEL", "firewall", other, { id: "b1" }));
    expect(await adminChain()).toBe(said);
    expect(await host.sh("iptables-nft-save; iptables-legacy-save; nft list ruleset")).not.toMatch(/TSNET-|forward4/);
    await protect(host, "a2", { backend, iptablesAdminChainName: "MY-RULES" });
    expect(await adminChain()).toBe(said);
  });

  describe("removed by", () => {
    it.each<[string, (conf: FirewallConf) => Promise<[object, object]>]>([
      ["DEL three times", async (conf) => [conf, {}]],
      [
        "DEL with the namespace gone and no prevResult",
        async ({ prevResult: _, ...conf }) => {
          await host.ok(["ip", "netns", "del", "a1"]);
          return [conf, { netns: "" }];
        },
      ],
      [
        "DEL with our rules flushed by somebody",
        async (conf) => {
          await host.ok(["nft", "flush", "ruleset"]);
          return [conf, {}];
        },
      ],
      [
        "DEL with the record of our rules gone, and no prevResult",
        async ({ prevResult: _, ...conf }) => {
          await host.sh("rm -rf /run/tsnet");
          return [conf, {}];
        },
      ],
      [
        "DEL with the other back end in its config, and a policy that ADD would refuse",
        async (conf) => [
          { ...conf, backend: backend === "nftables" ? "iptables" : "nftables", ingressPolicy: "nobody" },
          {},
        ],
      ],
    ])("cni row 8, containers row 8: %s, it leaves the host as before", async (_, harm) => {
      const first = await protect(host, "a2");
      await remove(host, "a2", first);
      const before = await host.snapshot();
      const conf = await protect(host, "a1", { backend, ingressPolicy: "isolated" });
      await host.sh("ip netns exec a1 ping -q -c 1 -W 1 10.11.0.1");
      const [config, options] = await harm(conf);
      for (let times = 0; times < 3; times++) {
        const out = await host.cni("DEL", "firewall", config, { ...A1, ...options });
        expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0, stdout: "" });
      }
      await remove(host, "a1", config as FirewallConf);
      expect(await host.snapshot()).toBe(before);
    });
  });
});

const NOBODY = { "cni.dev/valid-attachments": [] };
const RULES = "(iptables-save; ip6tables-save) | sed -n /^-/p; nft -s list ruleset";

describe.each(["iptables", "nftables"])("the firewall plugin on %s", (backend) => {
  /** What is broken by hand, and what CHECK says then. */
  const broken: readonly (readonly [string, string, RegExp])[] =
    backend === "iptables"
      ? [
          ["the jump in FORWARD", "iptables -F FORWARD", /missing iptables -t filter -A FORWARD -j TSNET-CONTAINERS/],
          ["the same of IPv6", "ip6tables -F FORWARD", /missing ip6tables -t filter -A FORWARD -j TSNET-CONTAINERS/],
          ["the administrator's turn", "iptables -D TSNET-CONTAINERS 1", /-A TSNET-CONTAINERS -j CNI-ADMIN/],
          ["the walls' turn", "iptables -D TSNET-CONTAINERS 2", /-A TSNET-CONTAINERS -j TSNET-WALLS/],
          [
            "what accepts answers",
            "iptables -D TSNET-CONTAINERS 3",
            /-A TSNET-CONTAINERS -d 10\.11\.0\.2\/32 -m conntrack/,
          ],
          ["what accepts from it", "ip6tables -D TSNET-CONTAINERS 4", /-A TSNET-CONTAINERS -s fd11::2\/128 -j ACCEPT/],
          ["a wall", "iptables -F TSNET-WALLED", /-A TSNET-WALLED -o br0 -j DROP/],
          ["the wall inside", "ip6tables -F TSNET-WALLS", /-A TSNET-WALLS -i br0 -o br0 -j DROP/],
        ]
      : [
          ["the table", "nft delete table inet tsnet", /missing table inet tsnet/],
          ["the chain's rules", "nft flush chain inet tsnet forward", /rules of chain forward/],
          ["the administrator's turn", "nft flush chain inet tsnet admin", /jump CNI-ADMIN of chain admin/],
          ["an address", "nft delete element inet tsnet forward4 { 10.11.0.2 }", /element 10\.11\.0\.2 of forward4/],
          ["an address of IPv6", "nft delete element inet tsnet forward6 { fd11::2 }", /element fd11::2 of forward6/],
          ["a wall", "nft delete element inet tsnet walled { br0 }", /element "br0" of walled/],
          ["the wall inside", "nft delete element inet tsnet isolated { br0 . br0 }", /"br0" \. "br0" of isolated/],
        ];
  const conf = { backend, ingressPolicy: "isolated" };

  it("CHECK names each thing that is broken, ADD mends it, and what others add is passed over", async () => {
    const config = await protect(host, "a1", conf);
    const port = (config.prevResult as { interfaces: { name: string }[] }).interfaces[1]?.name ?? "";
    const all: typeof broken = [
      ...broken,
      ["the port's isolation", `bridge link set dev ${port} isolated off`, /port veth\w+ is not isolated: bridge link/],
      ["forwarding", "sysctl -qw net.ipv4.ip_forward=0", /net\.ipv4\.ip_forward is 0/],
    ];
    for (const [, harm, said] of all) {
      await host.sh(harm);
      const out = await host.cni("CHECK", "firewall", config, A1);
      expect([out.exitCode, message(out.json)]).toEqual([1, expect.stringMatching(said)]);
      await host.sh("sysctl -qw net.ipv4.ip_forward=1");
      await well(host.cni("ADD", "firewall", config, A1));
      expect(await host.cni("CHECK", "firewall", config, A1)).toMatchObject({ exitCode: 0, stdout: "" });
    }
    await host.sh(`
      iptables -I FORWARD -s 192.0.2.1 -j DROP; iptables -A FORWARD -j ACCEPT; iptables -t nat -N OTHER
      nft add table inet other; nft add chain inet other c
    `);
    await protect(host, "a2", conf);
    expect(await host.cni("CHECK", "firewall", config, A1)).toMatchObject({ exitCode: 0, stdout: "" });
  });

  it("cni row 5: GC removes what is not in the list, and nothing without a list", async () => {
    const confs = new Map<string, FirewallConf>();
    for (const id of ["a1", "a2", "b1"])
      confs.set(id, await protect(host, id, { backend, ingressPolicy: "same-bridge" }));
    const gc = (more: object) =>
      well(
        host.cni("GC", "firewall", { cniVersion: "1.1.0", name: "net1", type: "firewall", ...more }, { ifname: "" }),
      );
    const all = await host.sh(RULES);
    await gc({});
    expect(await host.sh(RULES)).toBe(all);
    await gc({ "cni.dev/valid-attachments": [{ containerID: "a2", ifname: "eth0" }] });
    const left = await host.sh(RULES);
    expect(left).not.toContain("net1/a1/eth0");
    for (const id of ["a2", "b1"]) {
      const out = await host.cni("CHECK", "firewall", confs.get(id) ?? {}, { id, netns: `/run/netns/${id}` });
      expect(out, out.stdout).toMatchObject({ exitCode: 0 });
    }
    // The record of one is lost: its rules tell whose they are.
    await host.sh("rm -rf /run/tsnet");
    await gc(NOBODY);
    expect(await host.sh(RULES)).not.toContain("net1/");
    expect(await host.sh(RULES)).toContain("net2/b1/eth0");
    // Walls may be those of whom nothing is known: with that one they go.
    await well(
      host.cni("GC", "firewall", { cniVersion: "1.1.0", name: "net2", type: "firewall", ...NOBODY }, { ifname: "" }),
    );
    expect(await host.sh(RULES)).not.toMatch(/walls|CNI-ADMIN|net2/);
  });
});
