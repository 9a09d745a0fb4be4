import { afterEach, describe, expect, it } from "vitest";
import { add, attach, containerOf, detach, ptpConf, refusal, well } from "./attachments.ts";
import { type Host, PLUGINS } from "./host.ts";
import { killedAt } from "./killed.ts";
import { ask, serve } from "./packets.ts";
import { world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

it("an ADD that was killed at any message to the kernel is made good by GC alone, and by DEL alone", async () => {
  host = await world();
  await host.addNetns("c1");
  const conf = ptpConf({ ipMasq: true });
  const call = containerOf("c1");
  await add(host, conf, "c1");
  await detach(host, conf, "c1");
  const before = await host.snapshot();
  for (let nth = 1; nth < 100; nth++) {
    const killed = await killedAt(host, { plugin: "ptp", conf, call: "sendto", nth });
    if (nth % 2 === 0) await well(host.cni("GC", "ptp", { ...conf, "cni.dev/valid-attachments": [] }));
    else await well(host.cni("DEL", "ptp", conf, call));
    expect(await host.snapshot(), `after ADD was killed at message ${nth}`).toBe(before);
    if (!killed) return void expect(nth).toBeGreaterThan(10);
  }
  throw new Error("ADD sends more than 100 messages");
});

describe("ADD", () => {
  it("at once with others of the same attachment succeeds once, and the address that it has stays reserved", async () => {
    host = await world();
    await host.addNetns("c1");
    for (let round = 0; round < 3; round++) {
      const calls = [1, 2, 3].map(() => host.cni("ADD", "ptp", ptpConf(), containerOf("c1")));
      const done = (await Promise.all(calls)).filter(({ exitCode }) => exitCode === 0);
      expect(done).toHaveLength(1);
      const reserved = (await host.sh("cd /var/lib/cni/networks/net1; grep -l c1 *.* *:*")).trim().split("\n");
      const given = reserved.map((address) =>
        expect.objectContaining({ address: expect.stringMatching(`^${address}/`) }),
      );
      expect(given).toHaveLength(2);
      expect(done[0]?.json).toMatchObject({ ips: expect.arrayContaining(given) });
      await detach(host, ptpConf(), "c1");
    }
  });

  it("names the host's end, then the container's, and gives the addresses to that", async () => {
    host = await world();
    const { interfaces, ips, routes } = await attach(host, ptpConf({ mtu: 1400 }), "a");
    expect(interfaces).toEqual([
      { name: expect.stringMatching(/^veth[0-9a-f]{8}$/), mac: expect.any(String), mtu: 1400 },
      { name: "eth0", mac: expect.any(String), mtu: 1400, sandbox: "/run/netns/a" },
    ]);
    expect(ips).toEqual([
      { interface: 1, address: "10.11.0.2/24", gateway: "10.11.0.1" },
      { interface: 1, address: "fd11::2/64", gateway: "fd11::1" },
    ]);
    expect(routes).toEqual([{ dst: "0.0.0.0/0" }, { dst: "::/0" }]);
    const [hostEnd] = interfaces;
    const shown = await host.ok(["ip", "-o", "link", "show", hostEnd?.name ?? ""]);
    expect(shown).toContain("mtu 1400");
    expect(shown).toContain("alias tsnet net1 a eth0");
    expect(shown).toContain(hostEnd?.mac);
  });

  it("leads everything through the gateway, which is all that the host's end has", async () => {
    host = await world();
    const { interfaces } = await attach(host, ptpConf(), "a");
    const veth = interfaces[0]?.name ?? "";
    expect(await host.sh("ip -n a route; ip -n a -6 route | grep -v fe80")).toBe(
      [
        "default via 10.11.0.1 dev eth0 ",
        "10.11.0.0/24 via 10.11.0.1 dev eth0 src 10.11.0.2 ",
        "10.11.0.1 dev eth0 scope link src 10.11.0.2 ",
        "fd11::1 dev eth0 src fd11::2 metric 1024 pref medium",
        "fd11::/64 via fd11::1 dev eth0 src fd11::2 metric 1024 pref medium",
        "default via fd11::1 dev eth0 metric 1024 pref medium",
        "",
      ].join("\n"),
    );
    expect(
      await host.sh(
        `ip -o addr show dev ${veth} scope global | awk '{print $4}'; ip route show dev ${veth}; ip -6 route show dev ${veth} | grep -v fe80`,
      ),
    ).toBe(
      "10.11.0.1/32\nfd11::1/128\n10.11.0.2 scope link \nfd11::1 proto kernel metric 256 pref medium\nfd11::2 metric 1024 pref medium\n",
    );
    expect(await host.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding")).toBe("1\n1\n");
  });

  it("answers in the shape of every config version", async () => {
    host = await world();
    for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
      const result = await attach(host, ptpConf({ cniVersion }), `v${cniVersion.replaceAll(".", "")}`);
      expect(result).toMatchObject({ cniVersion });
      expect(Object.keys(result)).toContain(cniVersion < "0.3" ? "ip4" : "interfaces");
    }
  });

  it("serves several addresses of a family, each by its own gateway, and packets pass by all", async () => {
    host = await world();
    const addresses = [
      { address: "10.21.0.5/24", gateway: "10.21.0.1" },
      { address: "10.21.0.6/24", gateway: "10.21.0.1" },
      { address: "10.22.0.5/32", gateway: "169.254.7.1" },
      { address: "fd21::5/64" },
      { address: "fd22::5/128", gateway: "fe80::99" },
    ];
    const conf = ptpConf({ ipam: { type: "static", addresses, routes: [{ dst: "0.0.0.0/0" }] } });
    const { ips } = await attach(host, conf, "a");
    expect(ips.map(({ gateway }) => gateway)).toEqual(["10.21.0.1", "10.21.0.1", "169.254.7.1", "fd21::1", "fe80::99"]);
    await Promise.all([serve(host, "a", 80, "a"), serve(host, "", 81, "host")]);
    for (const ip of ["10.21.0.5", "10.21.0.6", "10.22.0.5", "fd21::5", "fd22::5"]) {
      expect(await ask(host, "", "tcp", ip, 80)).toMatch(/^a /);
    }
    for (const ip of ["10.21.0.1", "169.254.7.1", "fd21::1"])
      expect(await ask(host, "a", "tcp", ip, 81)).toMatch(/^host /);
    await detach(host, conf, "a");
  });

  it("takes the dns of the config, even an empty field of it, before IPAM's", async () => {
    host = await world();
    const ipam = { type: "static", addresses: [{ address: "10.21.0.5/24" }], dns: { nameservers: ["10.0.0.53"] } };
    expect(await attach(host, ptpConf({ ipam }), "a")).toMatchObject({ dns: { nameservers: ["10.0.0.53"] } });
    expect(await attach(host, ptpConf({ ipam, dns: { domain: "x.org" } }), "b")).toMatchObject({
      dns: { domain: "x.org" },
    });
    expect(await attach(host, ptpConf({ ipam, dns: { search: [] } }), "c")).not.toHaveProperty("dns.nameservers");
  });

  it("refuses before anything is touched, each key by its name", async () => {
    host = await world();
    await host.addNetns("a");
    const before = await host.snapshot();
    expect(await refusal(host, ptpConf({ ipam: {} }), "a")).toContain("set ipam.type");
    expect(await refusal(host, ptpConf({ ipam: undefined }), "a")).toContain("set ipam.type");
    expect(await refusal(host, ptpConf({ mtu: 20 }), "a")).toContain("mtu is 20");
    expect(await refusal(host, ptpConf({ mtu: "1400" }), "a")).toContain("must be a number");
    expect(await refusal(host, ptpConf({ ipMasq: 1 }), "a")).toContain("must be true or false");
    expect(await refusal(host, ptpConf({ ipMasqBackend: "pf" }), "a")).toContain('ipMasqBackend is "pf"');
    expect(await refusal(host, ptpConf(), "a", { ifname: "lo" })).toContain("container veth name (lo) already exists");
    const ipam = (address: object) => ptpConf({ ipam: { type: "static", addresses: [address] } });
    expect(await refusal(host, ptpConf({ ipam: { type: "static" } }), "a")).toContain("returned missing IP config");
    expect(await refusal(host, ipam({ address: "10.1.0.1/24" }), "a")).toContain("gave 10.1.0.1/24 no gateway");
    expect(await refusal(host, ipam({ address: "10.1.0.1/24", gateway: "10.1.0.1" }), "a")).toContain(
      "the gateway 10.1.0.1",
    );
    expect(await host.snapshot()).toBe(before);
  });

  it("leaves nothing where a step fails in the middle", async () => {
    host = await world();
    await attach(host, ptpConf(), "first");
    await detach(host, ptpConf(), "first");
    await host.ok(["ip", "netns", "del", "first"]);
    await host.addNetns("a");
    const before = await host.snapshot();
    const routes = [{ dst: "10.99.0.0/16", gw: "10.98.0.1" }];
    const conf = ptpConf({ ipMasq: true, ipam: { type: "host-local", subnet: "10.11.0.0/24", routes } });
    expect(await refusal(host, conf, "a")).toContain("add route 10.99.0.0/16 via 10.98.0.1");
    expect(await host.ok(["ip", "-n", "a", "-o", "link"])).not.toContain("eth0");
    expect(await host.snapshot()).toBe(before);
  });
});

describe("STATUS", () => {
  it("cni row 3: is code 50 once the pool is exhausted, or the packet filter's program is missing", async () => {
    host = await world();
    const conf = ptpConf({ ipMasq: true, ipam: { type: "host-local", subnet: "10.13.0.0/30" } });
    await well(host.cni("STATUS", "ptp", conf));
    await attach(host, conf, "a");
    expect((await host.cni("STATUS", "ptp", conf)).json).toMatchObject({ code: 50 });
    const elsewhere = ptpConf({ ipMasq: true, ipMasqBackend: "nftables" });
    const { stdout } = await host.run(["env", "PATH=/nowhere", `${PLUGINS}/ptp`], {
      stdin: JSON.stringify(elsewhere),
      env: { CNI_COMMAND: "STATUS", CNI_PATH: PLUGINS },
    });
    expect(JSON.parse(stdout)).toMatchObject({ code: 50, msg: expect.stringContaining("nft") });
  });
});
