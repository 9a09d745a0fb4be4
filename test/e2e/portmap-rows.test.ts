import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { attach, publish, remove, tcp, udp } from "./published.ts";
import { BEYOND, HOST, world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

const call = (id: string) => ({ id, netns: `/run/netns/${id}` });
/** Says something by UDP from the machine beyond, always from the same port, and returns the answer. */
async function say(port: number): Promise<string> {
  const script = `
    const socket = await Bun.udpSocket({
      hostname: "0.0.0.0",
      port: 4000,
      socket: { data(_, data) { process.stdout.write(data.toString()); process.exit(0); } },
    });
    socket.send("?", ${port}, "${HOST[4]}");
    setTimeout(() => process.exit(0), 1000);`;
  const { stdout } = await host.inNetns("beyond", [process.execPath, "-e", script], { env: { BUN_BE_BUN: "1" } });
  return stdout;
}

const message = (json: unknown): string => String((json as { msg?: unknown } | undefined)?.msg);

describe.each(["iptables", "nftables"])("portmap on %s", (backend) => {
  const portmap = { backend };

  it("cni row 11: a stream of UDP that began before the port was published, or for an earlier container, goes to the new one", async () => {
    // Flows are tracked from the first rule on that needs it, whoever has it.
    await host.sh(`nft -f - <<'END'
      table ip probe { chain c { type filter hook prerouting priority 0; ct state new; }; }
END`);
    expect(await say(8053)).toBe("");
    const first = await publish(host, "first", { ports: [udp(8053)], portmap });
    await serve(host, "first", 80, "first");
    expect(await say(8053)).toBe(`first ${BEYOND[4]}\n`);
    await remove(host, "first", first);
    expect(await host.ok(["conntrack", "-L"])).not.toMatch(/10\.11\.0\.2|dport=8053/);
    await publish(host, "second", { ports: [udp(8053)], portmap });
    await serve(host, "second", 80, "second");
    expect(await say(8053)).toBe(`second ${BEYOND[4]}\n`);
  });

  it("containers row 4: does not open the host's 127.0.0.1 to containers or the segment", async () => {
    await publish(host, "web", { ports: [tcp(8080)], portmap });
    expect(await host.ok(["sysctl", "-n", "net.ipv4.conf.br0.route_localnet"])).toBe("1\n");
    const towards = (netns: string, gateway: string, link: string) => `
      for net in 127.0.0.0/8 127.0.0.1; do ip -n ${netns} route del table local local $net dev lo; done
      ip -n ${netns} route add 127.0.0.1 via ${gateway} dev ${link}`;
    await host.sh(towards("web", "10.11.0.1", "eth0"));
    await host.sh(`${towards("beyond", HOST[4], "up1")}; sysctl -qw net.ipv4.conf.up0.route_localnet=1`);
    await host.sh(`nft -f - <<'END'
      table ip probe { chain c { type filter hook input priority 0; iifname != "lo" ip daddr 127.0.0.1 udp dport 9999 counter; }; }
END`);
    const arrived = async () => {
      for (const netns of ["web", "beyond"]) {
        await host.inNetns(netns, ["bash", "-c", "echo x > /dev/udp/127.0.0.1/9999"]);
      }
      return /counter packets (\d+)/.exec(await host.ok(["nft", "list", "table", "ip", "probe"]))?.[1];
    };
    expect(await arrived()).toBe("0");
    // The same without the guard, so that it is the guard that was seen.
    await host.sh(
      backend === "nftables" ? "nft flush chain inet tsnet publish-guard" : "iptables -t raw -F TSNET-GUARD",
    );
    expect(await arrived()).toBe("2");
  });

  it("publishes a port once for a container that has it handed in on each of its networks", async () => {
    const second = {
      bridge: { name: "net2", bridge: "br2", ipam: { type: "host-local", ranges: [[{ subnet: "10.12.0.0/24" }]] } },
      ifname: "eth1",
    };
    const warmUp = await publish(host, "first", { ports: [tcp(8081)], portmap });
    await publish(host, "first", {
      ports: [tcp(8081)],
      portmap,
      ...second,
      bridge: { ...second.bridge, isDefaultGateway: false },
    });
    await remove(host, "first", warmUp);
    await remove(host, "first", { ...warmUp, name: "net2" }, second);
    await host.addNetns("web");
    await host.ok(["ip", "netns", "del", "web"]);
    await host.ok(["ip", "netns", "del", "first"]);
    const before = await host.snapshot();

    const one = await publish(host, "web", { ports: [tcp(8080)], portmap });
    const two = await publish(host, "web", {
      ports: [tcp(8080)],
      portmap,
      ...second,
      bridge: { ...second.bridge, isDefaultGateway: false },
    });
    await serve(host, "web", 80, "web");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    for (const [conf, ifname] of [
      [one, "eth0"],
      [two, "eth1"],
    ] as const) {
      const out = await host.cni("CHECK", "portmap", conf, { ...call("web"), ifname });
      expect(out, out.stdout).toMatchObject({ exitCode: 0 });
    }
    await remove(host, "web", two, second);
    await remove(host, "web", one);
    await host.ok(["ip", "netns", "del", "web"]);
    expect(await host.snapshot()).toBe(before);
  });

  it("cni row 22: CHECK sees that forwarding was turned off under us", async () => {
    const conf = await publish(host, "web", { ports: [tcp(8080)], portmap });
    expect(await host.cni("CHECK", "portmap", conf, call("web"))).toMatchObject({ exitCode: 0, stdout: "" });
    await host.sh("sysctl -qw net.ipv4.ip_forward=0");
    const out = await host.cni("CHECK", "portmap", conf, call("web"));
    expect(message(out.json)).toContain("net.ipv4.ip_forward is 0");
  });

  it("cni row 23: answers that leave by the container's other network pass a host with strict rp_filter", async () => {
    await host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=1");
    const second = { name: "net2", bridge: "br1", isDefaultGateway: false, isGateway: true };
    const ipam = { type: "host-local", ranges: [[{ subnet: "10.12.0.0/24" }]] };
    await publish(host, "web", { ports: [], portmap });
    await publish(host, "web", { ports: [tcp(8080)], portmap, bridge: { ...second, ipam }, ifname: "eth1" });
    await serve(host, "web", 80, "web");
    // The default route leads to the first network, the published port to an address on the second.
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
    expect(Number(await host.ok(["sysctl", "-n", "net.ipv4.conf.br1.rp_filter"]))).toBe(2);
  });

  it("CHECK says which rule is missing", async () => {
    const conf = await publish(host, "web", { ports: [tcp(8080), udp(8053)], portmap });
    const harm =
      {
        nftables: [
          "nft delete element inet tsnet publish4-any '{ udp . 8053 }'",
          "element udp . 8053 : 10.11.0.2 . 80 of publish4-any",
        ],
        iptables: [
          "iptables -t nat -D TSNET-DNAT 6",
          "iptables -t nat -A TSNET-DNAT -p udp -m udp --dport 8053 -j DNAT",
        ],
      }[backend] ?? [];
    await host.sh(harm[0] ?? "");
    const out = await host.cni("CHECK", "portmap", conf, call("web"));
    expect(message(out.json)).toContain(`publish of net1/web/eth0: missing ${harm[1]}`);
    const again = await host.cni("ADD", "portmap", conf, call("web"));
    expect(again, again.stdout).toMatchObject({ exitCode: 0 });
    expect(await host.cni("CHECK", "portmap", conf, call("web"))).toMatchObject({ exitCode: 0 });
  });

  it("GC removes the ports of containers that are not in the list, of its network only", async () => {
    const one = await publish(host, "one", { ports: [tcp(8081)], portmap });
    await publish(host, "two", { ports: [tcp(8082)], portmap });
    const other = { name: "net2", bridge: "br1", ipam: { type: "host-local", ranges: [[{ subnet: "10.12.0.0/24" }]] } };
    await publish(host, "three", { ports: [tcp(8083)], portmap, bridge: other });
    for (const [id, port] of [
      ["one", 8081],
      ["two", 8082],
      ["three", 8083],
    ] as const) {
      await serve(host, id, 80, id);
      expect(await ask(host, "", "tcp", HOST[4], port)).toMatch(new RegExp(`^${id} `));
    }
    const { runtimeConfig: _, prevResult: __, ...conf } = one;
    const valid = { "cni.dev/valid-attachments": [{ containerID: "two", ifname: "eth0" }] };
    const out = await host.cni("GC", "portmap", { ...conf, ...valid }, { ifname: "" });
    expect(out, out.stdout).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await ask(host, "", "tcp", HOST[4], 8081)).toBeUndefined();
    expect(await ask(host, "", "tcp", HOST[4], 8082)).toMatch(/^two /);
    expect(await ask(host, "", "tcp", HOST[4], 8083)).toMatch(/^three /);
    // An absent list collects nothing.
    await host.cni("GC", "portmap", conf, { ifname: "" });
    expect(await ask(host, "", "tcp", HOST[4], 8082)).toMatch(/^two /);
  });

  it("STATUS is fine", async () => {
    const out = await host.cni("STATUS", "portmap", { cniVersion: "1.1.0", name: "net1", type: "portmap", backend });
    expect(out, out.stdout).toMatchObject({ exitCode: 0, stdout: "" });
  });

  it("a condition holds for the container's ports", async () => {
    const conditionsV4 = backend === "iptables" ? ["!", "-s", `${BEYOND[4]}/32`] : ["ip", "saddr", "!=", BEYOND[4]];
    const before = await host.snapshot();
    const conf = await publish(host, "web", { ports: [tcp(8080)], portmap: { ...portmap, conditionsV4 } });
    await serve(host, "web", 80, "web");
    expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBeUndefined();
    expect(await ask(host, "beyond", "tcp", HOST[6], 8080)).toBe(`web ${BEYOND[6]}`);
    expect(await ask(host, "", "tcp", HOST[4], 8080)).toBe(`web ${HOST[4]}`);
    await remove(host, "web", conf);
    await host.sh("ip netns del web; ip link del br0");
    expect(await host.snapshot()).toBe(before);
  });

  it("a condition that the filter cannot read is the config's fault, and leaves nothing", async () => {
    const conditionsV4 = backend === "iptables" ? ["--no-such-option"] : ["ip", "nonsense"];
    const { out } = await attach(host, "web", { ports: [tcp(8080)], portmap: { ...portmap, conditionsV4 } });
    expect(out).toMatchObject({ exitCode: 1, json: { code: 7, msg: expect.stringContaining(conditionsV4.join(" ")) } });
    expect(await host.sh("nft list tables; iptables-save; ls -R /run/tsnet")).not.toMatch(/tsnet$|TSNET|publish/m);
  });

  it("20 containers publish at the same time, and go at the same time", async () => {
    const ids = Array.from({ length: 20 }, (_, i) => `c${i}`);
    const before = await host.snapshot();
    const confs = await Promise.all(ids.map((id, i) => publish(host, id, { ports: [tcp(9000 + i)], portmap })));
    await Promise.all(
      confs.map(async (conf, i) => {
        const out = await host.cni("CHECK", "portmap", conf, call(`c${i}`));
        expect(out, out.stdout).toMatchObject({ exitCode: 0 });
      }),
    );
    await Promise.all(confs.map((conf, i) => remove(host, `c${i}`, conf)));
    await host.sh(`for id in ${ids.join(" ")}; do ip netns del $id; done; ip link del br0`);
    expect(await host.snapshot()).toBe(before);
  });
});

describe("portmap", () => {
  it("hands the result on unchanged where no port is asked for, and touches nothing", async () => {
    const { conf, out } = await attach(host, "web", { ports: [] });
    expect(out.json).toEqual({ ...conf.prevResult, cniVersion: "1.1.0" });
    expect(await host.sh("nft list tables; ls /run/tsnet 2>/dev/null || true")).toBe("");
  });

  it("has to be chained", async () => {
    const conf = { cniVersion: "1.0.0", name: "net1", type: "portmap", runtimeConfig: { portMappings: [tcp(8080)] } };
    await host.addNetns("web");
    const out = await host.cni("ADD", "portmap", conf, call("web"));
    expect(message(out.json)).toBe("must be called as chained plugin");
  });

  it("containers row 32: DEL removes what the reference plugins 1.9.1 left of the container, and the last one all of it", async () => {
    const before = await host.snapshot();
    const folder = `${import.meta.dirname}/reference-1.9.1`;
    await host.sh(
      `iptables-restore < ${folder}/iptables; ip6tables-restore < ${folder}/ip6tables; nft -f ${folder}/nft`,
    );
    const conf = { cniVersion: "1.0.0", name: "net1", type: "portmap", runtimeConfig: { portMappings: [tcp(8080)] } };
    const bridge = { cniVersion: "1.0.0", name: "net1", type: "bridge", ipMasq: true };
    const everything = () => host.sh("iptables-save; ip6tables-save; nft list ruleset");
    for (const [id, other] of [
      ["c1", "c2"],
      ["c2", undefined],
    ] as const) {
      for (const [plugin, config] of [
        ["portmap", conf],
        ["bridge", bridge],
      ] as const) {
        const out = await host.cni("DEL", plugin, config, { id });
        expect(out, out.stdout).toMatchObject({ exitCode: 0 });
      }
      const left = await everything();
      expect(left).not.toMatch(new RegExp(`"${id}"|id: .?"${id}|id: ${id}"`));
      if (other !== undefined)
        for (const sign of [`id: \\"${other}\\"`, `id: ${other}"`, `comment "${other}"`]) expect(left).toContain(sign);
    }
    expect(await host.snapshot()).toBe(before);
  });

  it("containers row 32: GC removes what the reference plugins left of containers that are not in the list", async () => {
    const folder = `${import.meta.dirname}/reference-1.9.1`;
    await host.sh(
      `iptables-restore < ${folder}/iptables; ip6tables-restore < ${folder}/ip6tables; nft -f ${folder}/nft`,
    );
    const list = {
      cniVersion: "1.1.0",
      name: "net1",
      "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }],
    };
    for (const plugin of ["portmap", "bridge"]) {
      const out = await host.cni("GC", plugin, { ...list, type: plugin, ipMasq: true }, { ifname: "" });
      expect(out, out.stdout).toMatchObject({ exitCode: 0 });
    }
    const rules = await host.sh("iptables-save; ip6tables-save; nft list table inet cni_plugins_masquerade");
    expect(rules).not.toMatch(/id: .?"c1|id: c1"/);
    expect(rules).toMatch(/id: .?"c2/);
  });

  it("cni row 9: chooses native nft on a host with rules in both iptables, and says so", async () => {
    await host.sh("iptables-nft -A INPUT -j ACCEPT; iptables-legacy -A INPUT -j ACCEPT");
    const { out } = await attach(host, "web", { ports: [tcp(8080)] });
    expect(out.exitCode).toBe(0);
    expect(out.stderr).toContain("both iptables-nft and iptables-legacy hold rules on this host");
    expect(await host.ok(["nft", "list", "table", "inet", "tsnet"])).toContain("tcp . 8080");
  });

  describe("while somebody holds the xtables lock", () => {
    const portmap = { backend: "iptables" };
    beforeEach(() =>
      host.sh("ln -sf /usr/sbin/iptables-legacy /etc/alternatives/iptables; iptables -t nat -L >/dev/null"),
    );

    /** Takes the lock as another iptables would; what it returns gives it back. */
    async function holdLock(): Promise<() => Promise<unknown>> {
      host.spawn(["sh", "-c", "echo $$ > /run/holder; exec flock --no-fork /run/xtables.lock sleep 60"]);
      await host.sh("until [ -s /run/holder ] && ! flock -n /run/xtables.lock true; do :; done");
      return () => host.sh("kill $(cat /run/holder); flock /run/xtables.lock true");
    }

    it("containers row 9: waits at most 5 s, then says to try again, and leaves nothing", async () => {
      const before = await host.sh("iptables-legacy-save | grep -E '^-A|TSNET' || true");
      const release = await holdLock();
      const started = performance.now();
      const { out } = await attach(host, "web", { ports: [tcp(8080)], portmap });
      expect(out).toMatchObject({ exitCode: 1, json: { code: 11 } });
      expect(performance.now() - started).toBeLessThan(8_000);
      await release();
      expect(await host.sh("iptables-legacy-save | grep -E '^-A|TSNET' || true")).toBe(before);
      expect(await host.sh("find /run/tsnet -name '*.json'")).toBe("");
    });

    it("containers row 9: an ADD that is killed leaves its iptables-restore, for which DEL waits", async () => {
      await attach(host, "web", { ports: [], portmap });
      const before = await host.snapshot();
      const conf = (await attach(host, "other", { ports: [], portmap })).conf;
      const release = await holdLock();
      const ports = { ...conf, runtimeConfig: { portMappings: [tcp(8080)] } };
      await host.sh(`cat > /run/conf <<'END'\n${JSON.stringify(ports)}\nEND`);
      const env = {
        CNI_COMMAND: "ADD",
        CNI_CONTAINERID: "other",
        CNI_NETNS: "/run/netns/other",
        CNI_IFNAME: "eth0",
        CNI_PATH: "/",
      };
      const plugin = `${import.meta.dirname}/../../dist/cni/portmap`;
      const adding = host.spawn(["sh", "-c", `echo $$ > /run/adding; exec ${plugin} < /run/conf`], { env });
      await host.sh("until pidof iptables-legacy-restore >/dev/null; do :; done; kill -9 $(cat /run/adding)");
      await adding.exited;
      const deleting = host.cni("DEL", "portmap", ports, call("other"));
      await release();
      expect(await deleting).toMatchObject({ exitCode: 0, stdout: "" });
      await remove(host, "other", conf);
      await host.ok(["ip", "netns", "del", "other"]);
      expect(await host.snapshot()).toBe(before);
    });
  });
});
