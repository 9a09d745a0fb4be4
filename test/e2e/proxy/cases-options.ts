/**
 * What flags change: each proxy here is started anew, over the rules of the last.
 *
 * @module
 */
import { expect, test } from "vitest";
import { strays } from "./cases-node.ts";
import { addressOf, type Svc } from "./manifests.ts";
import type { Question } from "./prober.ts";
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
    await using proxy = await NodeProxy.start(world(), mode, { flags: ["--drop-invalid"], services: [web] });
    for (const family of FAMILIES) {
      const frontend = { address: addressOf(web, "clusterIP", family), port: 80 };
      await proxy.bring([{ ...web, endpoints: ["local1"] }]);
      // As if nothing were liberal: what the option is for.
      await world().sh("node", "echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal");
      await strays({ mode, world: world(), proxy }, frontend, family);
    }
  });
}
