import { afterEach, describe, expect, it } from "vitest";
import { add, addressOf, attach, detach, ptpConf, well } from "./attachments.ts";
import type { Host } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { BEYOND, HOST, world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

const GATEWAY = { 4: "10.11.0.1", 6: "fd11::1" } as const;

describe.each(["iptables", "nftables"])(
  "containers row 8: a container on a link of its own, masqueraded by %s",
  (ipMasqBackend) => {
    const conf = ptpConf({ ipMasq: true, ipMasqBackend });

    it("talks to its neighbour, to the host and to a machine beyond, which sees the host's address", async () => {
      host = await world();
      const [a, b] = [await attach(host, conf, "a"), await attach(host, conf, "b")];
      await Promise.all([serve(host, "b", 80, "b"), serve(host, "", 81, "host"), serve(host, "beyond", 82, "beyond")]);
      for (const family of [4, 6] as const) {
        const me = addressOf(a, family);
        for (const proto of ["tcp", "udp"] as const) {
          expect(await ask(host, "a", proto, addressOf(b, family), 80)).toBe(`b ${me}`);
          expect(await ask(host, "a", proto, GATEWAY[family], 81)).toBe(`host ${me}`);
          expect(await ask(host, "a", proto, HOST[family], 81)).toBe(`host ${me}`);
          expect(await ask(host, "a", proto, BEYOND[family], 82)).toBe(`beyond ${HOST[family]}`);
          expect(await ask(host, "", proto, addressOf(b, family), 80)).toBe(`b ${GATEWAY[family]}`);
        }
      }
    });

    it("is reached by a port of the host that a chained portmap publishes", async () => {
      host = await world();
      const prevResult = await attach(host, conf, "a");
      await serve(host, "a", 80, "a");
      const portMappings = ["tcp", "udp"].map((protocol) => ({ hostPort: 8080, containerPort: 80, protocol }));
      const portmap = {
        ...{ cniVersion: "1.1.0", name: "net1", type: "portmap", backend: ipMasqBackend, prevResult },
        runtimeConfig: { portMappings },
      };
      expect(await add(host, portmap, "a")).toEqual(prevResult);
      for (const proto of ["tcp", "udp"] as const) {
        expect(await ask(host, "beyond", proto, HOST[4], 8080)).toBe(`a ${BEYOND[4]}`);
        expect(await ask(host, "beyond", proto, HOST[6], 8080)).toBe(`a ${BEYOND[6]}`);
        expect(await ask(host, "a", proto, HOST[4], 8080)).toMatch(/^a /);
      }
      await detach(host, portmap, "a");
      expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(undefined);
    });

    it.each([
      ["DEL twice", "true", {}],
      ["DEL with the namespace gone", "ip netns del a", {}],
      ["DEL with CNI_NETNS empty", "true", { netns: "" }],
      ["DEL with the container's interface gone", "ip -n a link del eth0", {}],
      ["DEL with our rules flushed by somebody", "nft flush ruleset; iptables -t nat -F", {}],
      ["DEL with the record of our rules gone", "rm -rf /run/tsnet", {}],
    ] as const)("%s leaves the host as before", async (_, harm, options) => {
      host = await world();
      await attach(host, conf, "first");
      await detach(host, conf, "first");
      await host.ok(["ip", "netns", "del", "first"]);
      const before = await host.atRest();
      await attach(host, conf, "a");
      await host.sh(harm);
      await detach(host, conf, "a", options);
      await detach(host, conf, "a", options);
      await host.run(["ip", "netns", "del", "a"]);
      expect(await host.snapshot()).toBe(before);
    });

    it("GC takes what is not in the list, and nothing without one", async () => {
      host = await world();
      await attach(host, conf, "keep");
      await attach(host, conf, "first");
      await detach(host, conf, "first");
      await host.ok(["ip", "netns", "del", "first"]);
      const before = await host.atRest();
      await attach(host, conf, "stale");
      await attach(host, conf, "staler");
      const full = await host.atRest();
      await well(host.cni("GC", "ptp", conf));
      expect(await host.snapshot()).toBe(full);
      await host.ok(["ip", "netns", "del", "staler"]);
      const valid = [{ containerID: "keep", ifname: "eth0" }];
      await well(host.cni("GC", "ptp", { ...conf, "cni.dev/valid-attachments": valid }));
      await host.ok(["ip", "netns", "del", "stale"]);
      expect(await host.atRest()).toBe(before);
      await well(host.cni("GC", "ptp", { ...conf, "cni.dev/valid-attachments": [] }));
      expect(await host.sh("ip -o addr; ip route; ls /var/lib/cni/networks/net1")).not.toMatch(/veth|10\.11\./);
    });
  },
);
