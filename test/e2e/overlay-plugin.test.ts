import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseCidr } from "../../lib/net/cidr.ts";
import { renderSubnetEnv } from "../../lib/overlay/subnetenv.ts";
import { type Host, PROJECT } from "./host.ts";
import {
  addressOf,
  attach,
  done,
  ENV,
  overlayConf,
  put,
  putEnv,
  putState,
  refused,
  SUBNET_FILE,
  usedOnce,
} from "./overlay-world.ts";
import { ask, serve } from "./packets.ts";
import { BEYOND, world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

describe.each(["0.3.1", "0.4.0", "1.0.0", "1.1.0"])("a container on the overlay, config version %s", (cniVersion) => {
  const conf = overlayConf({ cniVersion });

  it("has addresses of the host's subnets, their MTU, and ways to the network and to everywhere", async () => {
    await putEnv(host);
    const before = await usedOnce(host, conf);
    const result = await attach(host, "a", conf);
    expect(result.ips).toMatchObject([
      { address: "10.244.1.3/24", gateway: "10.244.1.1", interface: 2 },
      { address: "fd00:244:0:1::3/64", gateway: "fd00:244:0:1::1", interface: 2 },
    ]);
    expect(result.interfaces.map(({ name }) => name)).toEqual(["cni0", expect.stringMatching(/^veth/), "eth0"]);
    expect(await host.sh("ip -n a route; ip -n a -6 route | grep -vE 'fe80|^ff00'; ip -n a link show eth0")).toMatch(
      new RegExp(
        [
          "default via 10.244.1.1 dev eth0 *",
          "10.244.0.0/16 via 10.244.1.1 dev eth0 *",
          "10.244.1.0/24 dev eth0 .*src 10.244.1.3 *",
          "fd00:244:0:1::/64 dev eth0 .*",
          "fd00:244::/48 via fd00:244:0:1::1 dev eth0 .*",
          "default via fd00:244:0:1::1 dev eth0 .*",
          ".*mtu 1430 .*",
        ].join("\n"),
      ),
    );
    expect(await host.ok(["ip", "-d", "link", "show", result.interfaces[1]?.name ?? ""])).toMatch(
      /mtu 1430 [\s\S]*hairpin on/,
    );
    if (cniVersion !== "0.3.1") await done(host, "CHECK", { ...conf, prevResult: result }, { id: "a" });
    for (let times = 0; times < 2; times++) await done(host, "DEL", { ...conf, prevResult: result }, { id: "a" });
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });
});

it("containers talk to each other, to their host and beyond at their own addresses: the plugin masquerades nothing", async () => {
  await putEnv(host);
  const [a, b] = [await attach(host, "a"), await attach(host, "b")];
  await host.sh(
    `ip -n beyond route add 10.244.1.0/24 via 192.168.50.1; ip -n beyond route add fd00:244::/48 via fd50::1`,
  );
  await Promise.all([serve(host, "b", 80, "b"), serve(host, "", 81, "host"), serve(host, "beyond", 82, "beyond")]);
  for (const family of [4, 6] as const) {
    const me = addressOf(a, family);
    expect(await ask(host, "a", "tcp", addressOf(b, family), 80)).toBe(`b ${me}`);
    expect(await ask(host, "a", "udp", family === 4 ? "10.244.1.1" : "fd00:244:0:1::1", 81)).toBe(`host ${me}`);
    expect(await ask(host, "a", "tcp", BEYOND[family], 82)).toBe(`beyond ${me}`);
  }
  expect(await host.sh("nft list ruleset; iptables-legacy-save 2>/dev/null || true")).toBe("");
});

describe("before the agent is ready", () => {
  const conf = overlayConf();

  /** What ADD and STATUS answer, and that nothing was left. */
  async function answers(): Promise<readonly [add: unknown, status: unknown]> {
    const before = await host.snapshot();
    const all = [await refused(host, "ADD", conf), await refused(host, "STATUS", conf)] as const;
    expect(await host.snapshot()).toBe(before);
    return all;
  }

  beforeEach(async () => {
    await host.addNetns("c1");
  });

  it.each([
    ["there is no subnet.env", undefined, /no subnet in \/run\/flannel\/subnet\.env yet: start `tsnet overlay`/],
    ["subnet.env is half written", "FLANNEL_NETWORK=10.244.0.0/16\n", /is missing FLANNEL_SUBNET, FLANNEL_MTU/],
    ["subnet.env is empty", "", /is missing FLANNEL_NETWORK/],
    ["subnet.env is of an earlier boot", renderSubnetEnv(ENV, "b-1"), /no subnet in \/run\/flannel\/subnet\.env yet/],
  ])("row 19: ADD is told to try again, and STATUS that the plugin is not available: %s", async (_, text, message) => {
    if (text !== undefined) await put(host, SUBNET_FILE, text);
    const msg = expect.stringMatching(message);
    expect(await answers()).toMatchObject([
      { code: 11, msg },
      { code: 50, msg },
    ]);
  });

  it.each([
    [50, "another host, b, uses our address 192.0.2.1"],
    [51, "our subnet 10.244.1.0/24 is held by b (192.0.2.2)"],
  ] as const)("both name the agent's trouble, and STATUS has its code: %i", async (code, message) => {
    await putEnv(host);
    await putState(host, { trouble: { code, message } });
    expect(await answers()).toMatchObject([
      { code: 11, msg: `the overlay takes no containers now: ${message}` },
      { code, msg: message },
    ]);
    await putState(host, {});
    await done(host, "STATUS", conf);
    await done(host, "ADD", conf);
  });

  it("trouble of an earlier boot counts for nothing, nor does a file that no agent wrote", async () => {
    await putEnv(host);
    await putState(host, { boot: "b-1", trouble: { code: 51, message: "held by b" } });
    await done(host, "STATUS", conf);
    await put(host, "/run/tsnet/overlay/agent.json", '{"trouble"');
    const { stderr } = await done(host, "ADD", conf);
    expect(stderr).toContain("warning: /run/tsnet/overlay/agent.json is no JSON");
  });

  it("a config that cannot be is refused before anything is made", async () => {
    await putEnv(host);
    const before = await host.snapshot();
    const wrong = overlayConf({ delegate: { ipam: {} } });
    expect(await refused(host, "ADD", wrong)).toMatchObject({ code: 7, msg: expect.stringMatching(/delegate\.ipam/) });
    expect(await refused(host, "ADD", overlayConf({ delegate: { mtu: 7 } }))).toMatchObject({ code: 7 });
    expect(await refused(host, "ADD", overlayConf({ delegate: { type: "no-such" } }))).toMatchObject({ code: 104 });
    expect(await host.snapshot()).toBe(before);
  });
});

describe("DEL", () => {
  const conf = overlayConf();

  it.each([
    ["twice", async () => {}],
    ["with subnet.env gone", () => host.sh("rm -r /run/flannel")],
    ["with subnet.env of another subnet", () => putEnv(host, { ...ENV, subnets: { 4: parseCidr("10.244.9.1/24") } })],
    ["with the namespace gone", () => host.sh("ip netns del a")],
    ["with all that is in /run gone", () => host.sh("rm -r /run/flannel /run/tsnet")],
    [
      "with all of it gone, the bridge too",
      () => host.sh("ip netns del a; rm -r /run/flannel /run/tsnet; ip link del cni0"),
    ],
    ["while the agent is in trouble", () => putState(host, { trouble: { code: 51, message: "held by b" } })],
    ["with a record that says nothing", () => host.sh("for f in /run/tsnet/overlay/attachments/*/*; do : >$f; done")],
  ] as const)("leaves the host as before: %s", async (_, harm) => {
    await putEnv(host);
    await usedOnce(host, conf);
    await attach(host, "a", conf);
    await harm();
    for (let times = 0; times < 2; times++) await done(host, "DEL", conf, { id: "a" });
    await host.run(["ip", "netns", "del", "a"]);
    expect(await host.sh("ip -o link | grep veth | grep -v up0 || true")).toBe("");
    expect(
      await host.sh(
        "find /var/lib/cni /run/tsnet/overlay/attachments -type f 2>/dev/null | grep -vE 'lock|last_' || true",
      ),
    ).toBe("");
  });

  it("goes by what ADD was told, when the network's config is another by then", async () => {
    const first = overlayConf({ bridge: "br7", ipam: { dataDir: "/run/ipam" }, delegate: { hairpinMode: false } });
    await putEnv(host);
    const before = await usedOnce(host, first);
    await attach(host, "a", first);
    expect(await host.sh("ls /run/ipam/net1 | grep -c '^10'")).toBe("1\n");
    await done(host, "DEL", overlayConf({ delegate: { type: "no-such" } }), { id: "a" });
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
    expect(await host.sh("ls /run/ipam/net1 | grep '^10' || true")).toBe("");
  });
});

it("CHECK needs neither agent nor subnet.env, and sees what is no longer as it was", async () => {
  await putEnv(host);
  const prevResult = await attach(host, "a");
  await host.sh("rm -r /run/flannel");
  const conf = overlayConf({ prevResult });
  await done(host, "CHECK", conf, { id: "a" });
  await host.sh("rm -r /run/tsnet");
  await done(host, "CHECK", conf, { id: "a" });
  await host.sh("ip -n a addr del 10.244.1.2/24 dev eth0");
  expect(await refused(host, "CHECK", conf, { id: "a" })).toMatchObject({
    code: 103,
    msg: expect.stringMatching(/lacks the address 10\.244\.1\.2\/24/),
  });
});

it("GC takes what no valid attachment has, with no agent and no subnet.env, and nothing else", async () => {
  const conf = overlayConf();
  await putEnv(host);
  const before = await usedOnce(host, conf);
  await attach(host, "stays", conf);
  const between = await host.snapshot();
  await attach(host, "goes", conf);
  await host.ok(["ip", "netns", "del", "goes"]);
  await host.sh("rm -r /run/flannel");
  await done(host, "GC", conf);
  expect(await host.sh("ls /var/lib/cni/networks/net1 | grep -c '^10'")).toBe("2\n");
  await done(host, "GC", { ...conf, "cni.dev/valid-attachments": [{ containerID: "stays", ifname: "eth0" }] });
  expect(await host.snapshot()).toBe(between);
  await done(host, "GC", { ...conf, "cni.dev/valid-attachments": [] });
  await host.ok(["ip", "netns", "del", "stays"]);
  expect(await host.snapshot()).toBe(before);
});

it("row 3: STATUS says that no address is left, ADD who has them, and a free one is given again", async () => {
  await putEnv(host, {
    ...ENV,
    networks: { 4: parseCidr("10.244.0.0/16") },
    subnets: { 4: parseCidr("10.244.1.1/30") },
  });
  const conf = overlayConf();
  await done(host, "STATUS", conf);
  await attach(host, "a", conf);
  expect(await refused(host, "STATUS", conf)).toMatchObject({ code: 50, details: expect.stringMatching(/a eth0/) });
  await host.addNetns("b");
  expect(await refused(host, "ADD", conf, { id: "b" })).toMatchObject({ code: 11 });
  await done(host, "DEL", conf, { id: "a" });
  await done(host, "STATUS", conf);
  await done(host, "ADD", conf, { id: "b" });
});

it("a second ADD of the same interface is refused, and the first one's container stays and goes as it should", async () => {
  const conf = overlayConf();
  await putEnv(host);
  const before = await usedOnce(host, conf);
  await attach(host, "a", conf);
  const between = await host.snapshot();
  expect(await refused(host, "ADD", conf, { id: "a" })).toMatchObject({ code: 100 });
  expect(await host.snapshot()).toBe(between);
  await done(host, "DEL", conf, { id: "a" });
  await host.ok(["ip", "netns", "del", "a"]);
  expect(await host.snapshot()).toBe(before);
});

it("a bridge of an earlier subnet gets the new one's address while nobody is on it", async () => {
  await putEnv(host);
  await usedOnce(host);
  const later = { ...ENV, subnets: { ...ENV.subnets, 4: parseCidr("10.244.7.1/24") } };
  await putEnv(host, later);
  expect(addressOf(await attach(host, "a"), 4)).toBe("10.244.7.2");
  expect(await host.ok(["ip", "-4", "-o", "addr", "show", "cni0"])).not.toContain("10.244.1.1");
  // Not under a container, nor where the bridge is another network's.
  await putEnv(host);
  await host.addNetns("b");
  const different = { msg: expect.stringContaining("already has an IP address different from 10.244.1.1/24") };
  expect(await refused(host, "ADD", overlayConf(), { id: "b" })).toMatchObject(different);
  await done(host, "DEL", overlayConf(), { id: "a" });
  await host.sh("ip addr del 10.244.7.1/24 dev cni0; ip addr add 10.22.0.1/16 dev cni0");
  expect(await refused(host, "ADD", overlayConf(), { id: "b" })).toMatchObject(different);
});

it("containers count as having addresses of the subnet while they are there, by reservation or by port", async () => {
  const asked = async () =>
    (await host.ok([process.execPath, "-e", ASK_CONTAINERS], { env: { BUN_BE_BUN: "1" }, cwd: PROJECT })).trim();
  await putEnv(host);
  expect(await asked()).toBe("false");
  await attach(host, "a");
  expect(await asked()).toBe("true");
  await host.sh("rm -r /var/lib/cni/networks");
  expect(await asked()).toBe("true");
  await done(host, "DEL", overlayConf(), { id: "a" });
  expect(await asked()).toBe("false");
});

const ASK_CONTAINERS = `
const { hasContainers } = await import("${PROJECT}/overlay/files/containers.ts");
const { parseCidr } = await import("${PROJECT}/lib/net/cidr.ts");
console.log(hasContainers({ 4: parseCidr("10.244.1.0/24") }, { bridge: "cni0" }));
`;
