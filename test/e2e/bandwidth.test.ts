/**
 * The bandwidth plugin on containers of a bridge: rates measured, every key, and beside the reference plugin.
 */
import { afterEach, describe, expect, it } from "vitest";
import { referencePrograms } from "../cluster/build.ts";
import { Host } from "./host.ts";
import { BOTH, container, ifbOf, shaped, shaping, vethOf } from "./shaped.ts";
import { bridgeConf } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

describe("rates", () => {
  // Bursts of a fifth of a second: while the machine is busy elsewhere, the queue goes on sending.
  const LIMITS = { ingressRate: 20_000_000, ingressBurst: 4_000_000, egressRate: 10_000_000, egressBurst: 2_000_000 };

  it("hold within a tenth in both directions at once, by IPv4 and IPv6", async () => {
    host = await Host.create();
    await shaped(host, { ...LIMITS, prevResult: await container(host) });
    for (const address of ["10.11.0.1", "fd11::1"]) {
      const measured = await whileSending("c1", address, ["-u", "-b", "60M", "--bidir"]);
      isAbout(measured.sent, LIMITS.egressRate);
      isAbout(measured.received, LIMITS.ingressRate);
    }
  });

  it("hold for TCP, whose segments come in one piece of 64 KB, and not for the neighbour", async () => {
    host = await Host.create();
    await shaped(host, { ...LIMITS, prevResult: await container(host) });
    await container(host, { id: "c2" });
    isAbout((await whileSending("c1", "10.11.0.1", [])).sent, LIMITS.egressRate);
    expect((await whileSending("c2", "10.11.0.1", [])).sent).toBeGreaterThan(10 * LIMITS.egressRate);
  });
});

// Until burst and queue are used up; and how long is measured.
const WARM_UP_MS = 700;
const MEASURED_MS = 1200;

let port = 5200;

/** Bits a second that arrive from a container at the host, and at the container, while iperf3 sends more. */
async function whileSending(id: string, address: string, more: readonly string[]) {
  const to = ["-p", String(++port)];
  const server = host.spawn(["iperf3", "-s", "-1", "--forceflush", ...to]);
  // It listens once it has said so.
  await server.stdout.getReader().read();
  const command = ["ip", "netns", "exec", id, "iperf3", "-c", address, "-t", "20", ...to, ...more];
  const client = host.spawn(["sh", "-c", 'echo $$; exec "$@"', "sh", ...command]);
  const pid = new TextDecoder().decode((await client.stdout.getReader().read()).value).trim();
  await Bun.sleep(WARM_UP_MS);
  const first = await arrived(id);
  await Bun.sleep(MEASURED_MS);
  const second = await arrived(id);
  await host.ok(["kill", pid]);
  await Promise.all([client.exited, server.exited]);
  const perSecond = (from: number, to: number) => ((to - from) * 8) / ((second.ns - first.ns) / 1e9);
  return { sent: perSecond(first.host, second.host), received: perSecond(first.container, second.container) };
}

/** When, and how many bytes the host's bridge and the container have received. */
async function arrived(id: string) {
  const bytes = "ip -s -o link show dev";
  const text = await host.sh(`date +%s%N; ${bytes} br0; ip netns exec ${id} ${bytes} eth0; date +%s%N`);
  const [before = "", atHost = "", atContainer = "", after = ""] = text.trim().split("\n");
  const received = (line: string) => Number(/RX:[^\\]*\\\s+(\d+)/.exec(line)?.[1]);
  return { ns: (Number(before) + Number(after)) / 2, host: received(atHost), container: received(atContainer) };
}

function isAbout(measured: number, rate: number): void {
  expect(measured / rate).toBeGreaterThan(0.9);
  expect(measured / rate).toBeLessThan(1.1);
}

describe("ADD", () => {
  it("sets ingressRate and ingressBurst on the host's end, and changes no result", async () => {
    host = await Host.create();
    const prevResult = await container(host);
    const { ingressRate, ingressBurst } = BOTH;
    expect(await shaped(host, { ingressRate, ingressBurst, prevResult })).toEqual({
      ...prevResult,
      cniVersion: "1.0.0",
    });
    expect(await host.sh(`tc qdisc show dev ${vethOf(prevResult)}`)).toBe(
      `qdisc tbf 1: root refcnt 3 rate 8Mbit burst 100000b lat 25ms \n`,
    );
    expect(await host.sh("ip -o link show type ifb")).toBe("");
  });

  it("sets egressRate and egressBurst on an ifb, which it adds to the interfaces", async () => {
    host = await Host.create();
    await host.sh("ip link add br0 mtu 1400 type bridge");
    const prevResult = await container(host);
    const { egressRate, egressBurst } = BOTH;
    const result = await shaped(host, { egressRate, egressBurst, prevResult });
    const [name, veth] = [ifbOf(result), vethOf(result)];
    expect(result.interfaces).toEqual([
      ...prevResult.interfaces,
      { name, mac: expect.stringMatching(/^[0-9a-f:]{17}$/) },
    ]);
    expect(await host.sh(`tc qdisc show dev ${name}; tc qdisc show dev ${veth} ingress`)).toBe(
      `qdisc tbf 1: root refcnt 2 rate 16Mbit burst 200000b lat 25ms \nqdisc ingress ffff: parent ffff:fff1 ---------------- \n`,
    );
    expect(await host.sh(`tc filter show dev ${veth} parent ffff:`)).toContain(`Egress Redirect to device ${name}`);
    const link = await host.sh(`ip -o -d link show ${name}`);
    expect(link).toContain(`link/ether ${result.interfaces.at(-1)?.mac}`);
    expect(link).toContain("alias tsnet net1 c1 eth0");
    expect(link).toContain("UP");
  });

  it("takes runtimeConfig.bandwidth where the config itself has none of the keys", async () => {
    host = await Host.create();
    const prevResult = await container(host);
    const bandwidth = BOTH;
    const result = await shaped(host, { runtimeConfig: { bandwidth }, prevResult });
    expect(await host.sh("tc qdisc")).toContain(`dev ${ifbOf(result)} root refcnt 2 rate 16Mbit`);
    await shaping(host, "DEL", { prevResult: result });
    const small = { ingressRate: 1_000_000, ingressBurst: 100_000, runtimeConfig: { bandwidth } };
    expect(ifbOf(await shaped(host, { ...small, prevResult }))).toBe("");
    expect(await host.sh("tc qdisc")).toContain(`dev ${vethOf(prevResult)} root refcnt 3 rate 1Mbit`);
  });

  it.each([
    ["nothing set", {}],
    ["zeros", { ingressRate: 0, ingressBurst: 0 }],
  ])("with %s hands the result on and touches nothing", async (_, conf) => {
    host = await Host.create();
    const prevResult = await container(host);
    const before = await host.sh("tc qdisc; ip -o link");
    expect(await shaped(host, { ...conf, prevResult })).toEqual({ ...prevResult, cniVersion: "1.0.0" });
    expect(await host.sh("tc qdisc; ip -o link")).toBe(before);
  });

  it("shapes two interfaces of one container on one network, each for itself", async () => {
    host = await Host.create();
    const [first, second] = [await container(host), await container(host, { ifname: "eth1" })];
    const [one, two] = [
      await shaped(host, { ...BOTH, prevResult: first }),
      await shaped(host, { ...BOTH, prevResult: second }, { ifname: "eth1" }),
    ];
    expect(ifbOf(one)).not.toBe(ifbOf(two));
    expect(await shaping(host, "DEL", { ...BOTH, prevResult: two }, { ifname: "eth1" })).toMatchObject({
      exitCode: 0,
      stdout: "",
    });
    expect(await shaping(host, "CHECK", { ...BOTH, prevResult: one })).toMatchObject({ exitCode: 0 });
  });

  it.each([
    ["without prevResult", {}, "must be called as chained plugin"],
    [
      "after a plugin that lists no interfaces",
      { prevResult: { cniVersion: "1.0.0", ips: [] } },
      "no interfaces provided",
    ],
    [
      "after one that lists other interfaces",
      { prevResult: { cniVersion: "1.0.0", interfaces: [{ name: "veth0" }] } },
      "no veth peer of container interface found in host ns",
    ],
  ])("%s is refused before anything is touched", async (_, conf, message) => {
    host = await Host.create();
    await container(host);
    const before = await host.sh("tc qdisc; ip -o link");
    const out = await shaping(host, "ADD", { ...BOTH, ...conf });
    expect(out).toMatchObject({ exitCode: 1, json: { msg: expect.stringContaining(message) } });
    expect(await host.sh("tc qdisc; ip -o link")).toBe(before);
  });

  it("for an interface that is no veth is refused", async () => {
    host = await Host.create();
    await host.sh(
      "ip netns add c1; ip link add m0 type bridge; ip link set m0 up; ip link add eth0 netns c1 link m0 type macvlan",
    );
    const interfaces = [{ name: "eth0", sandbox: "/run/netns/c1" }];
    const out = await shaping(host, "ADD", { ...BOTH, prevResult: { cniVersion: "1.0.0", interfaces } });
    expect(out.json).toMatchObject({
      msg: "container interface eth0 has no veth peer: it is macvlan, only a veth can be shaped",
    });
  });

  it.each([
    [
      "the bucket of what it receives",
      (veth: string) => `tc qdisc add dev ${veth} root handle 1: tbf rate 1mbit burst 10k latency 9ms`,
    ],
    ["the hook for what it sends", (veth: string) => `tc qdisc add dev ${veth} ingress`],
  ])("that fails at %s leaves everything as it was", async (_, occupy) => {
    host = await Host.create();
    const prevResult = await container(host);
    await host.sh(occupy(vethOf(prevResult)));
    const before = await host.sh("tc qdisc; ip -o link");
    const out = await shaping(host, "ADD", { ...BOTH, prevResult });
    expect(out.json).toMatchObject({ msg: expect.stringMatching(/^add qdisc \w+ to veth.*\(EEXIST\)$/) });
    expect(await host.sh("tc qdisc; ip -o link")).toBe(before);
  });

  it("replaces the ifb of an earlier life of the container, to which no DEL came", async () => {
    host = await Host.create();
    const first = await shaped(host, { ...BOTH, prevResult: await container(host) });
    await host.sh("ip netns del c1");
    expect(await host.cni("DEL", "bridge", bridgeConf(), { netns: "" })).toMatchObject({ exitCode: 0 });
    const second = await shaped(host, { ...BOTH, prevResult: await container(host) });
    expect(ifbOf(second)).toBe(ifbOf(first));
    expect(await shaping(host, "CHECK", { ...BOTH, prevResult: second })).toMatchObject({ exitCode: 0, stdout: "" });
  });

  it("a second time, for one direction alone, is refused, and what the first made stays", async () => {
    host = await Host.create();
    const conf = { egressRate: 16_000_000, egressBurst: 1_600_000, prevResult: await container(host) };
    const result = await shaped(host, conf);
    expect(await shaping(host, "ADD", conf)).toMatchObject({ exitCode: 1, json: { code: 100 } });
    expect(await shaping(host, "CHECK", { ...conf, prevResult: result })).toMatchObject({ exitCode: 0, stdout: "" });
    expect((await host.inNetns("c1", ["ping", "-c1", "-W2", "10.11.0.1"])).exitCode).toBe(0);
  });

  it("takes a rate at which the burst is no time that the kernel could count", async () => {
    host = await Host.create();
    const limits = { ingressRate: 100_000_000_000, ingressBurst: 64_000, egressRate: 2 ** 53, egressBurst: 2 ** 24 };
    const result = await shaped(host, { ...limits, prevResult: await container(host) });
    expect(await shaping(host, "CHECK", { ...limits, prevResult: result })).toMatchObject({ exitCode: 0, stdout: "" });
    expect((await host.inNetns("c1", ["ping", "-c1", "-W2", "10.11.0.1"])).exitCode).toBe(0);
  });

  it("warns of a burst that no full packet fits in", async () => {
    host = await Host.create();
    const prevResult = await container(host);
    const out = await shaping(host, "ADD", { ingressRate: 8_000_000, ingressBurst: 8_000, prevResult });
    expect(out).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining("ingressBurst is 1000 bytes, less than a packet of"),
    });
  });

  it("is at home from config version 0.3.0 on", async () => {
    host = await Host.create();
    const prevResult = await container(host);
    const below = await shaping(host, "ADD", { cniVersion: "0.2.0", prevResult: undefined });
    expect(below.json).toMatchObject({ code: 1, msg: "incompatible CNI versions" });
    for (const cniVersion of ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
      const ips = prevResult.ips.map((ip) =>
        cniVersion < "1" ? { ...ip, version: ip.address.includes(":") ? "6" : "4" } : ip,
      );
      const conf = { ...BOTH, cniVersion, prevResult: { ...prevResult, cniVersion, ips } };
      expect(ifbOf(await shaped(host, conf))).not.toBe("");
      expect(await shaping(host, "DEL", conf)).toMatchObject({ exitCode: 0 });
    }
  });
});

describe("beside the reference plugin", async () => {
  const { directory: path } = await referencePrograms();

  it("takes its buckets for right, and DEL removes what it made", async () => {
    host = await Host.create();
    const prevResult = await container(host);
    const before = await host.sh("tc qdisc; ip -o link");
    const result = await shaped(host, { ...BOTH, prevResult }, { path });
    expect(await shaping(host, "CHECK", { ...BOTH, prevResult: result })).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await shaping(host, "DEL", { ...BOTH, prevResult: result })).toMatchObject({
      exitCode: 0,
      stdout: "",
      stderr: "",
    });
    expect(await host.sh("tc qdisc; ip -o link")).toBe(before);
  });

  it("DEL leaves what it made for another interface of the container", async () => {
    host = await Host.create();
    const [first, second] = [await container(host), await container(host, { ifname: "eth1" })];
    const result = await shaped(host, { ...BOTH, prevResult: first }, { path });
    expect(await shaping(host, "DEL", { ...BOTH, prevResult: second }, { ifname: "eth1" })).toMatchObject({
      exitCode: 0,
    });
    expect(await shaping(host, "CHECK", { ...BOTH, prevResult: result }, { path })).toMatchObject({ exitCode: 0 });
    // Its veths may still be there when it is gone.
    await host.sh("ip netns del c1");
    expect(await shaping(host, "DEL", { ...BOTH })).toMatchObject({ exitCode: 0 });
    expect(await host.sh("ip -o link show type ifb")).toBe("");
  });

  it("its CHECK takes our bucket for right", async () => {
    host = await Host.create();
    const { ingressRate, ingressBurst } = BOTH;
    const odd = { ingressRate: ingressRate + 1, ingressBurst: ingressBurst + 7_777 };
    const result = await shaped(host, { ...odd, prevResult: await container(host) });
    expect(await shaping(host, "CHECK", { ...odd, prevResult: result }, { path })).toMatchObject({
      exitCode: 0,
      stdout: "",
    });
  });
});
