/**
 * One exec beside the chain that it stands for: the same input gives the same result, the same kernel, the same
 * errors, and after DEL the same host.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addChain, type Chain, callChain, callInOne, ID, type PluginConf, stateOf, well } from "./chain.ts";
import type { Host } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { BEYOND, HOST, world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

const bridge = (more: object = {}): PluginConf => ({
  type: "bridge",
  bridge: "br0",
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "10.11.0.0/24" }], [{ subnet: "fd11::/64" }]] },
  ...more,
});
const portmap = (more: object = {}): PluginConf => ({ type: "portmap", capabilities: { portMappings: true }, ...more });
const firewall = (more: object = {}): PluginConf => ({ type: "firewall", ...more });
const rates = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 16_000_000, egressBurst: 800_000 };
const bandwidth = (more: object = rates): PluginConf => ({ type: "bandwidth", ...more });
const tuning = (more: object = { sysctl: { "net.core.somaxconn": "500" }, mtu: 1400 }): PluginConf => ({
  type: "tuning",
  ...more,
});
const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: "tcp" },
  { hostPort: 8080, containerPort: 80, protocol: "udp" },
];

function whole(backend: string, cniVersion = "1.1.0"): Chain {
  const plugins = [
    bridge({ ipMasqBackend: backend }),
    portmap({ backend }),
    firewall({ backend }),
    bandwidth(),
    tuning(),
  ];
  return { cniVersion, plugins, runtimeConfig: { portMappings } };
}

/** What the chain does, or one exec, on a host that is as new; what it left of the host is in `after`. */
async function lifeOf(chain: Chain, how: "chain" | "one") {
  await host.addNetns(ID);
  const add = how === "chain" ? await addChain(host, chain) : await callInOne(host, chain, "ADD");
  const during = await stateOf(host);
  const call = how === "chain" ? callChain : callInOne;
  const prevResult = { prevResult: add.json };
  const check = add.exitCode === 0 ? await call(host, chain, "CHECK", prevResult) : undefined;
  if (add.exitCode === 0) well(await call(host, chain, "DEL", prevResult));
  await host.ok(["ip", "netns", "del", ID]);
  const after = await host.snapshot();
  // The same addresses again, and a bridge of no known MAC.
  await host.sh("rm -rf /var/lib/cni/networks; ip link del br0 2>/dev/null || true");
  return { add: withoutMacs(add.json), during, check: check?.json, after };
}

const withoutMacs = (json: unknown) =>
  JSON.parse(JSON.stringify(json ?? null).replaceAll(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/g, "MAC"));

describe.each(["iptables", "nftables"])("one exec, rules by %s", (backend) => {
  it.each(["0.4.0", "1.1.0"])(
    "has the result, the kernel state and the remains of the chain, as of %s",
    async (version) => {
      const chain = whole(backend, version);
      const one = await lifeOf(chain, "one");
      const many = await lifeOf(chain, "chain");
      expect(one.add).toEqual(many.add);
      expect(one.check).toBeUndefined();
      expect(one.during).toBe(many.during);
      expect(one.after).toBe(many.after);
    },
  );

  it("opens every way at once: out, in by a published port, and between hosts that drop what they do not know", async () => {
    await host.sh("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    await host.addNetns(ID);
    well(await callInOne(host, whole(backend), "ADD"));
    await serve(host, ID, 80, "web");
    await serve(host, "beyond", 9000, "beyond");
    for (const family of [4, 6] as const) {
      expect(await ask(host, ID, "tcp", BEYOND[family], 9000)).toBe(`beyond ${HOST[family]}`);
      expect(await ask(host, "beyond", "udp", HOST[family], 8080)).toBe(`web ${BEYOND[family]}`);
    }
  });
});

describe("one exec deletes what the chain added, and the chain what one exec added", () => {
  it.each([
    ["chain", "one", {}],
    ["one", "chain", {}],
    ["chain", "one", { gone: true }],
    ["one", "chain", { gone: true }],
  ])("%s, then %s, %o", async (first, then, { gone = false }: { gone?: boolean }) => {
    const chain = whole("nftables");
    const before = await host.snapshot();
    await host.addNetns(ID);
    const add = first === "chain" ? await addChain(host, chain) : await callInOne(host, chain, "ADD");
    well(add);
    if (gone) await host.ok(["ip", "netns", "del", ID]);
    const del = then === "chain" ? callChain : callInOne;
    well(await del(host, chain, "DEL", gone ? {} : { prevResult: add.json }));
    well(await del(host, chain, "DEL"));
    if (!gone) await host.ok(["ip", "netns", "del", ID]);
    await host.sh("ip link del br0");
    expect(await host.snapshot()).toBe(before);
  });
});

describe("ADD", () => {
  it("takes everything back when a part fails, whichever it is", async () => {
    const before = await host.snapshot();
    await host.addNetns(ID);
    await serve(host, "", 8080, "host");
    const [one, two, three, four] = whole("nftables").plugins;
    const failing: readonly (readonly [readonly (PluginConf | undefined)[], RegExp])[] = [
      [[one, two], /8080/],
      [[one, two, three, four], /8080/],
      [[one, three, tuning({ mtu: 70_000_000 })], /mtu/i],
      [[one, bandwidth(), tuning({ mac: "02:00:00:00:00:00:00" })], /mac/i],
    ];
    for (const [plugins, message] of failing) {
      const chain = { ...whole("nftables"), plugins: plugins.filter((plugin) => plugin !== undefined) };
      const out = await callInOne(host, chain, "ADD");
      expect(out.exitCode).toBe(1);
      expect((out.json as { msg: string }).msg).toMatch(message);
      expect(await host.run(["ip", "-n", ID, "link", "show", "eth0"])).toMatchObject({ exitCode: 1 });
    }
    await host.ok(["ip", "netns", "del", ID]);
    await host.sh("ip link del br0 2>/dev/null || true");
    expect(await host.snapshot()).toBe(before);
  });

  it("touches nothing where any part's config is wrong, and says which key of which part", async () => {
    await host.addNetns(ID);
    const before = await host.snapshot();
    const wrong: readonly (readonly [Chain["plugins"], string, number])[] = [
      [[bridge({ mtu: 5 })], "parts[0].mtu is 5", 7],
      [[bridge({ ipam: { type: "host-local", subnet: "10.1.0.0/31" } })], "parts[0]", 7],
      [[bridge(), portmap({ markMasqBit: 99 })], "parts[1].markMasqBit is 99", 7],
      [[bridge(), portmap({ snat: "yes" })], 'parts[1].snat must be true or false, not "yes"', 6],
      [[bridge(), firewall({ ingressPolicy: "shut" })], "parts[1]", 7],
      [[bridge(), bandwidth({ ingressRate: 5 })], "parts[1]", 7],
      [[bridge(), bandwidth({ ...rates, ingressRate: "x" })], 'parts[1].ingressRate must be a number, not "x"', 6],
      [[bridge(), tuning({ sysctl: { "kernel.panic": "1" } })], "parts[1]", 7],
      [[bridge(), { type: "sbr" }], 'parts[1].type is "sbr", allowed are bridge, ', 7],
      [[bridge(), tuning(), tuning()], "parts[2] is a second tuning", 7],
      [[], '"parts" is empty', 7],
    ];
    for (const [plugins, message, code] of wrong) {
      const out = await callInOne(host, { ...whole("nftables"), plugins }, "ADD");
      expect(out.json, message).toMatchObject({ code, msg: expect.stringContaining(message) });
    }
    expect(await host.snapshot()).toBe(before);
  });

  it("refuses with the code that the chain would have", async () => {
    await host.addNetns(ID);
    const cases: readonly Chain["plugins"][] = [
      [bridge({ hairpinMode: true, promiscMode: true })],
      [bridge(), portmap({ backend: "ipfw" })],
      [bridge(), bandwidth({ ingressRate: 8000 })],
      [bridge(), tuning({ sysctl: { "net.core.nonsense": "1" } })],
      [portmap()],
      [bridge({ ipam: { type: "nobody" } })],
    ];
    for (const plugins of cases) {
      const chain = { ...whole("nftables"), plugins };
      const one = await callInOne(host, chain, "ADD");
      const many = await addChain(host, chain);
      expect(many.exitCode).toBe(1);
      const { code, msg } = many.json as { code: number; msg: string };
      expect(one.json).toMatchObject({ code, msg: expect.stringContaining(msg.split(" ").slice(1, 4).join(" ")) });
      await callChain(host, chain, "DEL");
    }
  });

  it("refuses capabilities that only the whole or only a part declares", async () => {
    const conf = { cniVersion: "1.1.0", name: "net1", type: "tsnet", parts: [bridge(), portmap()] };
    const options = { id: ID, netns: await host.addNetns(ID) };
    expect((await host.cni("ADD", "tsnet", conf, options)).json).toMatchObject({
      msg: expect.stringMatching(/^parts\[1\]\.capabilities has portMappings, which capabilities of the whole/),
    });
    const more = { ...conf, capabilities: { portMappings: true, mac: true } };
    expect((await host.cni("ADD", "tsnet", more, options)).json).toMatchObject({
      msg: expect.stringMatching(/^capabilities has mac, which no part takes/),
    });
  });

  it("answers as the oldest version that all parts know", async () => {
    const chain = { ...whole("nftables", "0.3.1") };
    await host.addNetns(ID);
    expect((await callInOne(host, chain, "ADD")).json).toMatchObject({
      code: 1,
      msg: "incompatible CNI versions",
      details: expect.stringContaining("parts[2] (firewall) exists since 0.4.0"),
    });
    well(await callInOne(host, { ...chain, cniVersion: "0.2.0", plugins: [bridge(), portmap()] }, "ADD"));
  });
});

describe("CHECK, GC and STATUS", () => {
  it.each([
    ["the address", "ip -n web addr del 10.11.0.2/24 dev eth0", "10.11.0.2/24"],
    ["a rule", "nft flush ruleset", "missing"],
    ["the shaping", "tc qdisc del dev $(ip -o link | grep -o 'bwp[0-9a-f]*' | head -1) root", "bwp"],
    ["the sysctl", "ip netns exec web sysctl -qw net.core.somaxconn=9", "somaxconn"],
  ])("CHECK names what was broken: %s", async (_, script, message) => {
    await host.addNetns(ID);
    const chain = whole("nftables");
    const { json: prevResult } = well(await callInOne(host, chain, "ADD"));
    well(await callInOne(host, chain, "CHECK", { prevResult }));
    await host.sh(script);
    const out = await callInOne(host, chain, "CHECK", { prevResult });
    expect(out.json).toMatchObject({ code: 103, msg: expect.stringContaining(message) });
  });

  it("GC keeps what is valid, collects all parts of the rest, and everything of an empty list", async () => {
    const before = await host.snapshot();
    await host.addNetns(ID);
    const chain = whole("nftables");
    const { json: prevResult } = well(await callInOne(host, chain, "ADD"));
    const valid = "cni.dev/valid-attachments";
    well(await callInOne(host, chain, "GC", { [valid]: [{ containerID: ID, ifname: "eth0" }] }));
    well(await callInOne(host, chain, "GC"));
    well(await callInOne(host, chain, "CHECK", { prevResult }));
    well(await callInOne(host, chain, "GC", { [valid]: [] }));
    await host.sh("ip netns del web; ip link del br0");
    expect(await host.snapshot()).toBe(before);
  });

  it("STATUS is that of the first part that is not ready", async () => {
    const chain = whole("nftables");
    well(await callInOne(host, chain, "STATUS"));
    const full = bridge({ ipam: { type: "host-local", subnet: "10.11.0.0/30" } });
    const plugins = [full, ...chain.plugins.slice(1)];
    await host.sh("mkdir -p /var/lib/cni/networks/net1; printf 'x\\r\\neth0' > /var/lib/cni/networks/net1/10.11.0.2");
    expect((await callInOne(host, { ...chain, plugins }, "STATUS")).json).toMatchObject({ code: 50 });
  });
});

it("passes on what the parts declare, and no more", async () => {
  await host.addNetns(ID);
  const mac = "02:00:00:00:12:34";
  const chain: Chain = {
    cniVersion: "1.1.0",
    plugins: [bridge({ capabilities: { mac: true } }), portmap(), bandwidth({ capabilities: { bandwidth: true } })],
    runtimeConfig: { portMappings, mac, bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000 } },
  };
  const { json } = well(await callInOne(host, chain, "ADD"));
  expect(JSON.stringify(json)).toContain(mac);
  expect(await host.sh("tc qdisc show | grep tbf")).toContain("rate 8Mbit");
});
