/**
 * What becomes of limits: every state broken by hand once, and nothing left.
 */
import { afterEach, describe, expect, it } from "vitest";
import { Host } from "./host.ts";
import { BOTH, container, ifbOf, shaped, shaping, vethOf } from "./shaped.ts";
import { bridgeConf } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

describe("CHECK", () => {
  it.each([
    [
      "the rate",
      "tc qdisc change dev $VETH root handle 1: tbf rate 9mbit burst 100000 limit 125000",
      "has the rate 9000000 bit/s, wanted 8000000",
    ],
    [
      "the burst",
      "tc qdisc change dev $VETH root handle 1: tbf rate 8mbit burst 50000 limit 125000",
      "has another burst than the wanted 800000 bits",
    ],
    [
      "the limit",
      "tc qdisc change dev $VETH root handle 1: tbf rate 8mbit burst 100000 limit 126000",
      "has the limit 126000 bytes, wanted 125000",
    ],
    ["the bucket", "tc qdisc del dev $VETH root", "has the queue noqueue, wanted tbf"],
    [
      "the ifb's rate",
      "tc qdisc change dev $IFB root handle 1: tbf rate 9mbit burst 200000 limit 250000",
      "tbf of $IFB has the rate 9000000 bit/s",
    ],
    ["the ifb's bucket", "tc qdisc del dev $IFB root", "$IFB has the queue noqueue, wanted tbf"],
    ["the ifb itself", "ip link del $IFB", "ifb $IFB, by which eth0 sends, is gone"],
    ["the ifb being up", "ip link set $IFB down", "ifb $IFB is down, wanted up"],
    ["the hook", "tc qdisc del dev $VETH ingress", "$VETH has no ingress qdisc"],
    ["the filter", "tc filter del dev $VETH parent ffff: pref 1", "no filter of $VETH redirects to $IFB"],
  ])("fails and names %s when it was broken by hand", async (_, harm, message) => {
    host = await Host.create();
    const result = await shaped(host, { ...BOTH, prevResult: await container(host) });
    const named = (text: string) => text.replaceAll("$VETH", vethOf(result)).replaceAll("$IFB", ifbOf(result));
    expect(await shaping(host, "CHECK", { ...BOTH, prevResult: result })).toMatchObject({ exitCode: 0, stdout: "" });
    await host.sh(named(harm));
    const out = await shaping(host, "CHECK", { ...BOTH, prevResult: result });
    expect(out).toMatchObject({ exitCode: 1, json: { code: 103, msg: expect.stringContaining(named(message)) } });
  });

  it("lets pass what others added, and a network without limits", async () => {
    host = await Host.create();
    const result = await shaped(host, { ...BOTH, prevResult: await container(host) });
    await host.sh(`
      tc filter add dev ${vethOf(result)} parent ffff: protocol ip pref 7 u32 match ip dport 80 0xffff action mirred egress mirror dev lo
      ip link add other type ifb; tc qdisc add dev other root tbf rate 1mbit burst 10k latency 9ms
      ip -n c1 addr add 192.0.2.9/32 dev eth0
    `);
    expect(await shaping(host, "CHECK", { ...BOTH, prevResult: result })).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await shaping(host, "CHECK", { prevResult: result })).toMatchObject({ exitCode: 0, stdout: "" });
  });
});

describe("DEL", () => {
  it("leaves the host as before, twice over, and the container sends and receives as it likes", async () => {
    host = await Host.create();
    const prevResult = await container(host);
    const before = await host.sh("tc qdisc; ip -o link");
    const result = await shaped(host, { ...BOTH, prevResult });
    for (let times = 0; times < 2; times++) {
      expect(await shaping(host, "DEL", { ...BOTH, prevResult: result })).toMatchObject({
        exitCode: 0,
        stdout: "",
        stderr: "",
      });
      expect(await host.sh("tc qdisc; ip -o link")).toBe(before);
    }
    expect((await host.inNetns("c1", ["ping", "-c1", "-W2", "10.11.0.1"])).exitCode).toBe(0);
  });

  it.each([
    ["the namespace gone", "ip netns del c1", {}],
    ["CNI_NETNS empty", "true", { netns: "" }],
    ["an empty file for a namespace", "ip netns del c1; touch /run/netns/c1", {}],
    ["the ifb gone", "ip link del $IFB", {}],
  ])("with %s and no prevResult leaves no ifb", async (_, harm, options) => {
    host = await Host.create();
    const result = await shaped(host, { ...BOTH, prevResult: await container(host) });
    await host.sh(harm.replace("$IFB", ifbOf(result)));
    // Not even with a config that ADD would refuse.
    expect(await shaping(host, "DEL", { ingressRate: 8 }, options)).toMatchObject({
      exitCode: 0,
      stdout: "",
      stderr: "",
    });
    expect(await host.sh("ip -o link show type ifb")).toBe("");
  });

  it("lets the container send again whose ifb somebody deleted", async () => {
    host = await Host.create();
    const result = await shaped(host, { ...BOTH, prevResult: await container(host) });
    await host.sh(`ip link del ${ifbOf(result)}`);
    expect((await host.inNetns("c1", ["ping", "-c1", "-W1", "10.11.0.1"])).exitCode).toBe(1);
    expect(await shaping(host, "DEL", { ...BOTH, prevResult: result })).toMatchObject({ exitCode: 0 });
    expect((await host.inNetns("c1", ["ping", "-c1", "-W2", "10.11.0.1"])).exitCode).toBe(0);
  });

  it("and GC leave another tool's hook (clsact), over which ADD failed, and its filters", async () => {
    host = await Host.create();
    const prevResult = await container(host);
    const veth = prevResult.interfaces[1]?.name;
    await host.sh(`tc qdisc add dev ${veth} clsact
      tc filter add dev ${veth} ingress protocol all prio 5 u32 match u32 0 0 flowid 1:1`);
    const shown = () => host.sh(`tc qdisc show dev ${veth}; tc filter show dev ${veth} ingress`);
    const before = await shown();
    expect(await shaping(host, "ADD", { ...BOTH, prevResult })).toMatchObject({ exitCode: 1, json: { code: 100 } });
    expect(await shaping(host, "DEL", { ...BOTH, prevResult })).toMatchObject({ exitCode: 0 });
    const all = { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
    expect(await shaping(host, "GC", all)).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await shown()).toBe(before);
  });

  it("of another network, whose ADD failed as the interface was taken, leaves ours alone", async () => {
    host = await Host.create();
    const result = await shaped(host, { ...BOTH, prevResult: await container(host) });
    expect(await shaping(host, "DEL", { ...BOTH, name: "net2" })).toMatchObject({ exitCode: 0 });
    expect(await shaping(host, "CHECK", { ...BOTH, prevResult: result })).toMatchObject({ exitCode: 0 });
  });
});

describe("GC", () => {
  async function three(): Promise<readonly string[]> {
    host = await Host.create();
    const names: string[] = [];
    for (const id of ["a", "b", "c"])
      names.push(ifbOf(await shaped(host, { ...BOTH, prevResult: await container(host, { id }) }, { id })));
    return names;
  }
  const ifbs = async () =>
    (await host.sh("ip -o link show type ifb")).split("\n").flatMap((line) => /^\d+: (\w+)/.exec(line)?.[1] ?? []);
  const gc = (conf: object) => shaping(host, "GC", { cniVersion: "1.1.0", ...conf });

  it("removes the ifbs of attachments that are not listed, and of an ADD that was killed half-way", async () => {
    const [a, , c] = await three();
    const half =
      Number.parseInt(new Bun.CryptoHasher("sha256").update("net1").digest("hex").slice(0, 7), 16) + 0x4000_0000;
    await host.sh(`ip link set ${c} alias ""; ip link set ${c} group ${half}; ip link add other type ifb`);
    expect(await gc({ "cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }] })).toMatchObject({
      exitCode: 0,
      stdout: "",
    });
    expect((await ifbs()).sort()).toEqual([a, "other"].sort());
  });

  it("removes all for an empty list, none for an absent one, and none of another network", async () => {
    const names = await three();
    expect(await gc({})).toMatchObject({ exitCode: 0 });
    expect(await gc({ name: "net2", "cni.dev/valid-attachments": [] })).toMatchObject({ exitCode: 0 });
    expect(await ifbs()).toHaveLength(names.length);
    expect(await gc({ "cni.dev/valid-attachments": [] })).toMatchObject({ exitCode: 0 });
    expect(await ifbs()).toEqual([]);
  });

  it("of bridge leaves the ifbs of containers that live", async () => {
    host = await Host.create();
    const result = await shaped(host, { ...BOTH, prevResult: await container(host) });
    const valid = { cniVersion: "1.1.0", "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] };
    expect(await host.cni("GC", "bridge", bridgeConf(valid))).toMatchObject({ exitCode: 0 });
    expect(await shaping(host, "CHECK", { ...BOTH, prevResult: result })).toMatchObject({ exitCode: 0 });
  });
});

it("STATUS tells of a config that ADD would refuse", async () => {
  host = await Host.create();
  expect(await shaping(host, "STATUS", { cniVersion: "1.1.0", ...BOTH })).toMatchObject({ exitCode: 0, stdout: "" });
  const out = await shaping(host, "STATUS", { cniVersion: "1.1.0", ingressRate: 8 });
  expect(out).toMatchObject({ exitCode: 1, json: { code: 7, msg: expect.stringContaining("burst must also be set") } });
});
