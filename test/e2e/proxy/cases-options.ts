/**
 * What flags change: each proxy here is started anew, over the rules of the last.
 *
 * @module
 */
import { expect, test } from "vitest";
import { strays, unmasqueraded } from "./cases-node.ts";
import { addressOf, type Svc } from "./manifests.ts";
import { type Question, serverOf, tally } from "./prober.ts";
import { FAMILIES, type Mode, NodeProxy } from "./proxy.ts";
import { reach } from "./reach.ts";
import { ADDRESSES, OUTSIDE, type ProxyWorld } from "./world.ts";

const web: Svc = { name: "web", n: 70, ports: [{ nodePort: 30070 }], endpoints: ["local1", "remote1"] };

const tcp = (address: string, port: number): Question => ({ protocol: "tcp", address, port });

export function options(mode: Mode, world: () => ProxyWorld): void {
  test("--masquerade-all masquerades pods too", async () => {
    await using _ = await NodeProxy.start(world(), mode, { flags: ["--masquerade-all"], services: [web] });
    for (const family of FAMILIES) {
      const question = tcp(addressOf(web, "clusterIP", family), 80);
      expect(await reach(world(), "local2", question, "local1,remote1 as node")).toBe("local1,remote1 as node");
    }
  });

  test("node ports are on all addresses of the node in iptables mode, on its primary ones in nftables mode", async () => {
    await using _ = await NodeProxy.start(world(), mode, { services: [web] });
    for (const family of FAMILIES) {
      const served = "local1,remote1 as node";
      const elsewhere = mode === "iptables" ? served : "refused";
      for (const from of ["external", "local2"] as const) {
        expect(await reach(world(), from, tcp(ADDRESSES.node[family], 30070), served)).toBe(served);
        expect(await reach(world(), from, tcp(OUTSIDE[family], 30070), elsewhere)).toBe(elsewhere);
      }
    }
  });

  test("--nodeport-addresses says on which", async () => {
    const flags = ["--nodeport-addresses", "203.0.113.0/24,2001:db8:203::/64"];
    await using _ = await NodeProxy.start(world(), mode, { flags, services: [web] });
    for (const family of FAMILIES) {
      const served = "local1,remote1 as node";
      expect(await reach(world(), "external", tcp(OUTSIDE[family], 30070), served)).toBe(served);
      expect(await reach(world(), "external", tcp(ADDRESSES.node[family], 30070), "refused")).toBe("refused");
    }
    expect(await reach(world(), "node", tcp("127.0.0.1", 30070), "refused")).toBe("refused");
  });

  test("a pod is told by its interface's name, or its bridge", async () => {
    for (const flags of [
      ["--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "br"],
      ["--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "br0"],
      ["--detect-local-mode", "ClusterCIDR", "--cluster-cidr", "10.244.1.0/24,fd00:10:244:1::/64"],
    ]) {
      await using _ = await NodeProxy.start(world(), mode, { flags, services: [web] });
      for (const family of FAMILIES) {
        const question = tcp(addressOf(web, "clusterIP", family), 80);
        expect(await reach(world(), "local2", question, "local1,remote1 as itself")).toBe("local1,remote1 as itself");
        expect(await reach(world(), "remote2", question, "local1,remote1 as node")).toBe("local1,remote1 as node");
      }
    }
  });

  test("--drop-invalid drops what is outside of its window, and ends no connection (row 19)", async () => {
    const liberal = (value: 0 | 1) =>
      world().sh("node", `echo ${value} >/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal`);
    for (const flags of [[], ["--drop-invalid"]]) {
      await using _ = await NodeProxy.start(world(), mode, { flags, services: [unmasqueraded] });
      // As if conntrack were not told to be liberal: what the option is for.
      await liberal(0);
      for (const family of FAMILIES) {
        const seen = await strays(world(), unmasqueraded, family);
        if (flags.length > 0) expect(seen).toBe(0);
        else expect(seen).toBeGreaterThan(0);
      }
    }
    await liberal(1);
  });

  test("--flush-tcp ends connections to endpoints that are gone, and no others (row 4)", async () => {
    const three = { ...web, endpoints: ["local1", "local2", "remote1"] } as const;
    await using proxy = await NodeProxy.start(world(), mode, { flags: ["--flush-tcp"], services: [three] });
    for (const family of FAMILIES) {
      await proxy.bring([three]);
      const question = tcp(addressOf(web, "clusterIP", family), 80);
      const open = await Promise.all(Array.from({ length: 40 }, () => world().prober.open("external", question)));
      const ended = async () => {
        const said = await Promise.all(open.map((connection) => connection.say("still here", 1000)));
        const servers = open.flatMap(({ answer }, at) =>
          said[at] === "still here" || !("server" in answer) ? [] : [answer.server],
        );
        return [...new Set(servers)];
      };
      // One that has ended stays so; an answer may be late.
      await expect.poll(ended, { timeout: 10_000 }).toEqual([]);
      const draining = { pod: "local2", ready: false, serving: true, terminating: true } as const;
      await proxy.change({ ...web, endpoints: [draining, "remote1"] });
      await expect.poll(ended, { timeout: 10_000 }).toEqual(["local1"]);
      await Promise.all(open.map((connection) => connection.shut()));
    }
  });

  test("killed, started again, and switched to the other mode and back: no connection fails (row 13)", async () => {
    const other = mode === "iptables" ? "nftables" : "iptables";
    const node = ADDRESSES.node;
    const questions = FAMILIES.flatMap((family) => [
      { netns: "local2", ...tcp(addressOf(web, "clusterIP", family), 80) },
      { netns: "external", ...tcp(node[family], 30070) },
    ]);
    const { prober } = world();
    const first = await NodeProxy.start(world(), mode, { services: [web] });
    const open = await Promise.all(questions.map(({ netns, ...question }) => prober.open(netns, question)));
    let asking = true;
    const asked = (async () => {
      const seen = new Set<string>();
      while (asking) for (const key of tally(await prober.askAll(questions, 25, 10), serverOf).keys()) seen.add(key);
      return [...seen].sort();
    })();
    await using _ = {
      [Symbol.asyncDispose]: async () => {
        asking = false;
        await asked;
      },
    };
    await first.kill();
    for (const next of [mode, other, mode] as const) {
      await using proxy = await NodeProxy.start(world(), next, {
        services: [{ ...web, endpoints: ["local2", "remote1"] }],
      });
      for (const connection of open) expect(await connection.say("still here")).toBe("still here");
      // The other mode's rules go when these are in place.
      for (const { netns, ...question } of questions) {
        const servers = async () => [...tally(await prober.askOften(netns, question, 50), serverOf).keys()].sort();
        await expect.poll(servers, { timeout: 10_000 }).toEqual(["local2", "remote1"]);
      }
      await proxy.bring([web]);
    }
    asking = false;
    expect(await asked).toEqual(["local1", "local2", "remote1"]);
    await Promise.all(open.map((connection) => connection.shut()));
  });
}
