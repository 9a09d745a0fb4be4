/**
 * DEL with iptables-nft: what is ours goes, what others wrote stays, and no program is run for that where nobody had
 * his hands in our rules.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { protect, remove } from "./firewalled.ts";
import { type Host, PLUGINS } from "./host.ts";
import { publish, tcp } from "./published.ts";
import { bridgeConf, world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

const B = { backend: "iptables" };
const SAVE = "for s in iptables-nft-save ip6tables-nft-save; do $s | grep -v ^# | sed -E 's/ \\[[0-9:]+\\]$//'; done";
const saved = () => host.sh(SAVE);

async function del(id: string, plugin: string, conf: Readonly<Record<string, unknown>>): Promise<void> {
  const out = await host.cni("DEL", plugin, conf, { id, netns: `/run/netns/${id}` });
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
}

describe("the administrator's chain", () => {
  it("keeps its one rule though somebody took away our way to it, and goes once it is empty", async () => {
    const conf = await protect(host, "a1", B);
    await host.sh("iptables -A CNI-ADMIN -s 192.0.2.1/32 -j DROP; iptables -F TSNET-CONTAINERS");
    await del("a1", "firewall", conf);
    expect(await saved()).toContain("-A CNI-ADMIN -s 192.0.2.1/32 -j DROP");
    expect(await saved()).not.toContain("TSNET");
    await host.sh("iptables -F CNI-ADMIN");
    await remove(host, "a1", conf);
    await remove(host, "a2", await protect(host, "a2", B));
    expect(await saved()).not.toContain("CNI-ADMIN");
  });

  it("goes with the last container though we lead to it twice", async () => {
    const conf = await protect(host, "a1", B);
    await host.sh("iptables -A TSNET-CONTAINERS -j CNI-ADMIN");
    await del("a1", "firewall", conf);
    expect(await saved()).not.toMatch(/TSNET|CNI-ADMIN/);
  });

  it("stays for who leads to it beside us, and for the second network until the last DEL", async () => {
    const theirs = "-A CNI-FORWARD -j CNI-ADMIN";
    const [first, second] = [await protect(host, "a1", B), await protect(host, "b1", B)];
    await host.sh(`iptables -N CNI-FORWARD; iptables ${theirs}`);
    await del("a1", "firewall", first);
    expect((await saved()).match(/-A TSNET-CONTAINERS .*-j CNI-ADMIN/g)).toHaveLength(2);
    await del("b1", "firewall", second);
    const after = await saved();
    expect(after).toContain(theirs);
    // That of IPv6 had nobody else.
    expect(after.match(/^:CNI-ADMIN /gm)).toHaveLength(1);
  });
});

describe("DEL without a program", () => {
  /** DEL; whatever program it starts is told. */
  async function traced(id: string, conf: { readonly type?: unknown }): Promise<void> {
    const { exitCode, stdout, stderr } = await host.run(
      ["strace", "-f", "-qq", "-o", "/run/trace", "-e", "trace=execve", `${PLUGINS}/${conf.type}`],
      {
        stdin: JSON.stringify(conf),
        env: {
          CNI_COMMAND: "DEL",
          CNI_CONTAINERID: id,
          CNI_NETNS: `/run/netns/${id}`,
          CNI_IFNAME: "eth0",
          CNI_PATH: PLUGINS,
        },
      },
    );
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    expect((await host.ok(["cat", "/run/trace"])).match(/execve\("[^"]*/g)).toEqual([
      `execve("${PLUGINS}/${conf.type}`,
    ]);
  }

  it("takes one of two containers, and then the last, out of iptables-nft and leaves it as it was", async () => {
    // The reference plugin's, in which the administrator has written.
    await host.sh(`for program in iptables ip6tables; do
      $program -t raw -N THEIRS; $program -t nat -N THEIRS; $program -N CNI-ADMIN; $program -N CNI-FORWARD
      $program -A CNI-FORWARD -j CNI-ADMIN; $program -A CNI-ADMIN -p udp -j RETURN; $program -A FORWARD -j CNI-FORWARD
    done`);
    const attached = async (id: string, hostPort: number) => {
      const portmap = await publish(host, id, { ports: [tcp(hostPort)], portmap: B, bridge: { ipMasq: true } });
      const firewall = { ...portmap, type: "firewall", ingressPolicy: "same-bridge" };
      const out = await host.cni("ADD", "firewall", firewall, { id, netns: `/run/netns/${id}` });
      expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
      return [firewall, portmap, bridgeConf({ ipMasq: true })];
    };
    const states = [await saved()];
    const first = await attached("a1", 8080);
    states.push(await saved());
    const second = await attached("a2", 8081);
    for (const conf of second) await traced("a2", conf);
    expect(await saved()).toBe(states[1]);
    for (const conf of first) await traced("a1", conf);
    expect(await saved()).toBe(states[0]);
  });
});

it.each(["nft", "legacy"])(
  "who leads to a chain of ours keeps it, empty, and stops no DEL, with %s",
  async (variant) => {
    await host.sh(
      `for program in iptables ip6tables; do ln -sf /usr/sbin/$program-${variant} /etc/alternatives/$program; done`,
    );
    const conf = await publish(host, "a1", {
      ports: [tcp(8080)],
      portmap: { ...B, conditionsV4: ["-s", "192.0.2.0/24"] },
    });
    const ours = (await host.ok([`iptables-${variant}-save`])).match(/(?<=^:)TSNET-(?:DNAT|IF-\w+)/gm) ?? [];
    await host.sh("iptables -t nat -N THEIRS");
    for (const chain of ours) await host.ok(["iptables", "-t", "nat", "-A", "THEIRS", "-j", chain]);
    await del("a1", "portmap", conf);
    const left = (await host.ok([`iptables-${variant}-save`])).match(/.*(?:TSNET|THEIRS).*/g);
    const [, own] = ours;
    expect(left?.map((line) => line.replace(/ \[.*/, "")).toSorted()).toEqual([
      "-A THEIRS -j TSNET-DNAT",
      `-A THEIRS -j ${own}`,
      ":THEIRS -",
      ":TSNET-DNAT -",
      `:${own} -`,
    ]);
    const add = await host.cni("ADD", "portmap", conf, { id: "a1", netns: "/run/netns/a1" });
    expect(add, add.stdout).toMatchObject({ exitCode: 0 });
    expect(await host.ok([`iptables-${variant}-save`])).toContain("--dport 8080 -j DNAT");
    await host.sh("iptables -t nat -F THEIRS");
    await del("a1", "portmap", conf);
    expect(await host.sh(`iptables-${variant}-save; ip6tables-${variant}-save`)).not.toContain("TSNET");
  },
);
