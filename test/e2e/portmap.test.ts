import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { attach, type PortmapConf, publish, remove, tcp, udp } from "./published.ts";
import { BEYOND, HOST, world } from "./world.ts";

/** A second address of the host on the same link. */
const SECOND = { 4: "192.168.50.9", 6: "fd50::9" } as const;
/** A machine on the host's other side, which the host routes to. */
const FAR = { 4: "192.168.60.2", 6: "fd60::2" } as const;
const FAMILIES = [4, 6] as const;
const PROTOCOLS = ["tcp", "udp"] as const;

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

describe.each(["iptables", "iptables-legacy", "nftables"])("a container published by %s", (backend) => {
  const portmap = { backend: backend.replace("-legacy", "") };
  beforeEach(async () => {
    if (backend !== "iptables-legacy") return;
    await host.sh("ln -sf /usr/sbin/iptables-legacy /etc/alternatives/iptables");
  });

  it("is reached from a host beyond, by TCP and UDP, and sees who asks", async () => {
    await publish(host, "web", { ports: [tcp(8080), udp(8080)], portmap });
    await serve(host, "web", 80, "web");
    for (const family of FAMILIES) {
      for (const proto of PROTOCOLS) {
        expect(await ask(host, "beyond", proto, HOST[family], 8080)).toBe(`web ${BEYOND[family]}`);
      }
    }
  });

  it("is reached on the host address that it is bound to, and on no other", async () => {
    await host.sh(`ip addr add ${SECOND[4]}/24 dev up0; ip addr add ${SECOND[6]}/64 dev up0 nodad`);
    await publish(host, "web", {
      ports: FAMILIES.flatMap((family) => [tcp(8080, HOST[family]), udp(8080, HOST[family])]),
      portmap,
    });
    await serve(host, "web", 80, "web");
    await serve(host, "", 8080, "host");
    for (const family of FAMILIES) {
      for (const proto of PROTOCOLS) {
        expect(await ask(host, "beyond", proto, HOST[family], 8080)).toBe(`web ${BEYOND[family]}`);
        expect(await ask(host, "beyond", proto, SECOND[family], 8080)).toBe(`host ${BEYOND[family]}`);
      }
    }
  });

  it("is reached from the host by its own address and by 127.0.0.1", async () => {
    await publish(host, "web", { ports: [tcp(8080), udp(8080)], portmap });
    await serve(host, "web", 80, "web");
    for (const proto of PROTOCOLS) {
      for (const family of FAMILIES) expect(await ask(host, "", proto, HOST[family], 8080)).toBe(`web ${HOST[family]}`);
      expect(await ask(host, "", proto, "127.0.0.1", 8080)).toBe("web 10.11.0.1");
    }
  });

  it("containers row 5: is refused at once by [::1], which the kernel does not route", async () => {
    await publish(host, "web", { ports: [tcp(8080)], portmap });
    await serve(host, "web", 80, "web");
    const started = performance.now();
    expect(await ask(host, "", "tcp", "::1", 8080)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(1500);
  });

  it.each([1, 0])(
    "cni row 25: reaches itself, and its neighbours reach it, by the published port (br_netfilter %i)",
    async (on) => {
      await host.sh(`sysctl -qw net.bridge.bridge-nf-call-iptables=${on} net.bridge.bridge-nf-call-ip6tables=${on}`);
      await publish(host, "web", { ports: [tcp(8080), udp(8080)], portmap });
      await publish(host, "peer", { ports: [], portmap });
      await serve(host, "web", 80, "web");
      const gateway = { 4: "10.11.0.1", 6: "fd11::1" } as const;
      for (const from of ["web", "peer"]) {
        for (const family of FAMILIES) {
          for (const proto of PROTOCOLS) {
            expect(await ask(host, from, proto, HOST[family], 8080), `${from} ${proto}`).toBe(`web ${gateway[family]}`);
            expect(await ask(host, from, proto, gateway[family], 8080), `${from} ${proto}`).toBe(
              `web ${gateway[family]}`,
            );
          }
        }
      }
    },
  );

  it("cni row 10: leaves transit traffic to the same port alone", async () => {
    await publish(host, "web", { ports: [tcp(8080), udp(8080)], portmap });
    await host.addNetns("far");
    await host.sh(`
      ip link add far0 type veth peer name far1 netns far
      ip addr add 192.168.60.1/24 dev far0; ip addr add fd60::1/64 dev far0 nodad; ip link set far0 up
      ip -n far addr add ${FAR[4]}/24 dev far1; ip -n far addr add ${FAR[6]}/64 dev far1 nodad; ip -n far link set far1 up
      ip -n far route add default via 192.168.60.1; ip -n far -6 route add default via fd60::1
      ip -n beyond route add default via ${HOST[4]}; ip -n beyond -6 route add default via ${HOST[6]}
    `);
    await serve(host, "far", 8080, "far");
    for (const family of FAMILIES) {
      for (const proto of PROTOCOLS) {
        expect(await ask(host, "beyond", proto, FAR[family], 8080)).toBe(`far ${BEYOND[family]}`);
        expect(await ask(host, "web", proto, FAR[family], 8080)).toMatch(/^far /);
        expect(await ask(host, "", proto, FAR[family], 8080)).toMatch(/^far /);
      }
    }
  });

  it("is refused a port that another container has, and the error names that one", async () => {
    await publish(host, "web", { ports: [tcp(8080)], portmap });
    const before = await host.snapshot();
    const { out, conf } = await attach(host, "rival", { ports: [tcp(8081), tcp(8080, HOST[4])], portmap });
    expect(out).toMatchObject({
      exitCode: 1,
      json: { msg: expect.stringMatching(/8080\/tcp is taken.*net1\/web\/eth0/) },
    });
    await remove(host, "rival", conf);
    await host.ok(["ip", "netns", "del", "rival"]);
    expect(await host.snapshot()).toBe(before);
    await serve(host, "web", 80, "web");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
  });

  it("containers row 6: is refused a port that a program of the host listens on, before any change", async () => {
    await serve(host, "", 8080, "host");
    const { out } = await attach(host, "web", { ports: [tcp(8081), udp(8080)], portmap });
    expect(out).toMatchObject({
      exitCode: 1,
      json: { msg: expect.stringContaining("a program listens on [::]:8080") },
    });
    expect(await host.ok(["nft", "list", "tables"])).not.toContain("tsnet");
    expect(await host.sh("ls -R /run/tsnet 2>/dev/null || true")).not.toContain("publish");
  });

  describe("removed by", () => {
    const flush = "nft flush ruleset; for t in nat raw; do iptables-legacy -t $t -F; iptables-legacy -t $t -X; done";
    it.each<[string, (conf: PortmapConf) => Promise<[PortmapConf, object]>]>([
      ["DEL twice", async (conf) => [conf, {}]],
      [
        "DEL with the namespace gone",
        async (conf) => {
          await host.ok(["ip", "netns", "del", "web"]);
          return [conf, {}];
        },
      ],
      ["DEL with CNI_NETNS empty", async (conf) => [conf, { netns: "" }]],
      ["DEL with no prevResult", async ({ prevResult: _, ...conf }) => [conf as PortmapConf, {}]],
      [
        "DEL with our rules flushed by somebody",
        async (conf) => {
          await host.sh(flush);
          return [conf, {}];
        },
      ],
      [
        "DEL with the record of our rules gone",
        async (conf) => {
          await host.sh("rm -rf /run/tsnet");
          return [conf, {}];
        },
      ],
      ["DEL with no ports in its config", async (conf) => [{ ...conf, runtimeConfig: { portMappings: [] } }, {}]],
      [
        "DEL with the other back end in its config",
        async (conf) => [{ ...conf, backend: backend === "nftables" ? "iptables" : "nftables" }, {}],
      ],
    ])("%s, it leaves the host as before", async (_, harm) => {
      const first = await publish(host, "first", { ports: [], portmap });
      await remove(host, "first", first);
      await host.ok(["ip", "netns", "del", "first"]);
      const before = await host.snapshot();
      const conf = await publish(host, "web", { ports: [tcp(8080), udp(8080)], portmap });
      await serve(host, "web", 80, "web");
      for (const proto of PROTOCOLS) expect(await ask(host, "beyond", proto, HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
      const [config, options] = await harm(conf);
      for (let times = 0; times < 2; times++) {
        const out = await host.cni("DEL", "portmap", config, { id: "web", netns: "/run/netns/web", ...options });
        expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0, stdout: "" });
      }
      await remove(host, "web", config);
      await host.run(["ip", "netns", "del", "web"]);
      expect(await host.snapshot()).toBe(before);
      expect(await host.ok(["sysctl", "-n", "net.ipv4.conf.br0.route_localnet"])).toBe("0\n");
    });
  });
});
