import { afterEach, describe, expect, it } from "vitest";
import { referencePrograms } from "../cluster/build.ts";
import { add, attach, type Conf, check, containerOf, detach, ptpConf, refusal, well } from "./attachments.ts";
import { type CniOptions, type Host, PLUGINS } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { bridgeConf, world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

const ADDRESSES = [
  { address: "10.31.0.5/24", gateway: "10.31.0.1" },
  { address: "fd31::5/64", gateway: "fd31::1" },
];

function staticConf(ipam: object = { addresses: ADDRESSES }, more: Readonly<Record<string, unknown>> = {}): Conf {
  return { ...{ cniVersion: "1.1.0", name: "net1", type: "static" }, ipam: { type: "static", ...ipam }, ...more };
}

/** What one call of the plugin itself answers. */
async function answer(conf: Conf, options: CniOptions = {}): Promise<unknown> {
  return (await host.cni("ADD", "static", conf, { ...containerOf("a"), ...options })).json;
}

const cidrs = (json: unknown): unknown => (json as { ips: { address: string }[] }).ips.map(({ address }) => address);

describe("with an interface", () => {
  it.each([
    ["bridge", bridgeConf({ type: "bridge", isDefaultGateway: false, isGateway: true }) as unknown as Conf],
    ["ptp", ptpConf()],
  ])("of %s gives addresses, routes and dns of the config, and packets pass", async (_, network) => {
    host = await world();
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "192.0.2.0/24", gw: "10.31.0.1" }, { dst: "::/0", gw: "fd31::1" }];
    const dns = { nameservers: ["10.31.0.1"], domain: "example.org", search: ["example.org"], options: ["ndots:2"] };
    const conf = { ...network, cniVersion: "1.1.0", ipam: { type: "static", addresses: ADDRESSES, routes, dns } };
    const before = await host.snapshot();
    const result = await attach(host, conf, "a");
    expect(result.ips.map(({ address, gateway }) => ({ address, gateway }))).toEqual(ADDRESSES);
    expect(result).toMatchObject({ routes, dns });
    await serve(host, "", 80, "host");
    expect(await ask(host, "a", "tcp", "192.168.50.1", 80)).toBe("host 10.31.0.5");
    expect(await ask(host, "a", "tcp", "fd50::1", 80)).toBe("host fd31::5");
    expect(await host.sh("ip -n a route show 192.0.2.0/24")).toContain("via 10.31.0.1 dev eth0");
    expect(await check(host, conf, result, "a")).toBe("");
    await well(host.cni("STATUS", conf.type, conf));
    await well(
      host.cni("GC", conf.type, { ...conf, "cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }] }),
    );
    expect(await check(host, conf, result, "a")).toBe("");
    await detach(host, conf, "a");
    expect(await host.ok(["ip", "-n", "a", "-br", "link"])).not.toContain("eth0");
    if (conf.type === "bridge") return;
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });

  it("is called in the interface plugin's own process", async () => {
    host = await world();
    await host.addNetns("a");
    const conf = ptpConf({ ipam: { type: "static", addresses: ADDRESSES } });
    await host.run(["strace", "-f", "-o", "/run/trace", "-e", "trace=execve", `${PLUGINS}/ptp`], {
      stdin: JSON.stringify(conf),
      env: {
        CNI_COMMAND: "ADD",
        CNI_CONTAINERID: "a",
        CNI_NETNS: "/run/netns/a",
        CNI_IFNAME: "eth0",
        CNI_PATH: PLUGINS,
      },
    });
    expect((await host.ok(["cat", "/run/trace"])).match(/execve\(/g)).toEqual(["execve("]);
    expect(await host.ok(["ip", "-n", "a", "addr"])).toContain("10.31.0.5/24");
  });

  it("addresses of the runtime come before those of the config, by runtimeConfig.ips, args.cni.ips and CNI_ARGS", async () => {
    host = await world();
    await host.addNetns("a");
    const conf = ptpConf({ ipam: { type: "static", addresses: ADDRESSES } });
    const runtimeConfig = { ips: ["10.32.0.7/24"] };
    const { ips } = await add(host, { ...conf, runtimeConfig, capabilities: { ips: true } }, "a");
    expect(ips).toEqual([{ interface: 1, address: "10.32.0.7/24", gateway: "10.32.0.1" }]);
    expect(await host.ok(["ip", "-n", "a", "addr", "show", "eth0"])).not.toContain("10.31.0.5");
  });
});

describe("ADD", () => {
  it("takes runtimeConfig.ips before args.cni.ips, both in place of all else, and IP and GATEWAY of CNI_ARGS beside the config", async () => {
    host = await world();
    const runtimeConfig = { ips: ["10.1.0.1/24", "fd01::1/64"] };
    const args = { cni: { ips: ["10.2.0.1/24"] } };
    const env = { args: "IP=10.3.0.1/24, fd03::1/64;GATEWAY=10.3.0.254,fd03::fe" };
    expect(cidrs(await answer(staticConf(undefined, { runtimeConfig, args }), env))).toEqual([
      "10.1.0.1/24",
      "fd01::1/64",
    ]);
    expect(cidrs(await answer(staticConf(undefined, { args }), env))).toEqual(["10.2.0.1/24"]);
    expect(await answer(staticConf(), env)).toMatchObject({
      ips: [
        ...ADDRESSES,
        { address: "10.3.0.1/24", gateway: "10.3.0.254" },
        { address: "fd03::1/64", gateway: "fd03::fe" },
      ],
    });
    expect(await answer(staticConf({}), { args: "IP=10.3.0.1/24" })).toEqual({
      cniVersion: "1.1.0",
      ips: [{ address: "10.3.0.1/24" }],
    });
    const kubelet = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=1;IP=10.3.0.9/24";
    expect(cidrs(await answer(staticConf({}), { args: kubelet }))).toEqual(["10.3.0.9/24"]);
  });

  it("refuses each impossible value by the reference's words", async () => {
    host = await world();
    const refused = (conf: Conf, options: CniOptions = {}) => refusal(host, conf, "a", options);
    expect(await refused(staticConf(undefined, { ipam: undefined }))).toBe("IPAM config missing 'ipam' key");
    expect(await refused(staticConf({ addresses: [{ address: "10.0.0.1" }] }))).toBe(
      "the 'address' field is expected to be in CIDR notation, got: '10.0.0.1'",
    );
    expect(await refused(staticConf({ addresses: [{}] }))).toContain("got: ''");
    expect(await refused(staticConf({ addresses: [{ address: "10.0.0.1/24", gateway: "x" }] }))).toContain(
      "addresses[0].gateway",
    );
    expect(await refused(staticConf({ addresses: ["10.0.0.1/24"] }))).toContain("addresses[0]");
    expect(await refused(staticConf({ routes: [{ dst: "x" }] }))).toContain("routes[0].dst");
    expect(await refused(staticConf(), { args: "IP=10.0.0.1" })).toBe(
      "the 'ip' field is expected to be in CIDR notation, got: '10.0.0.1'",
    );
    expect(await refused(staticConf(), { args: "IP=10.0.0.1/8;GATEWAY=x" })).toBe("invalid gateway address: x");
    expect(await refused(staticConf(), { args: "FOO=1" })).toContain("unknown args");
    for (const more of [{ runtimeConfig: { ips: ["10.0.0.1"] } }, { args: { cni: { ips: ["10.0.0.1"] } } }]) {
      expect(await refused(staticConf(undefined, more))).toBe(
        "an entry in the 'ips' field is NOT in CIDR notation, got: '10.0.0.1'",
      );
    }
    const two = { addresses: [{ address: "10.0.0.1/24" }, { address: "10.0.0.2/24" }] };
    expect(await refused(staticConf(two, { cniVersion: "0.2.0" }))).toBe(
      "CNI version 0.2.0 does not support more than 1 address per family",
    );
  });

  it("answers as the reference plugin does", async () => {
    host = await world();
    const { directory } = await referencePrograms();
    const cases: readonly (readonly [Conf, CniOptions?])[] = [
      [staticConf()],
      [staticConf({})],
      [staticConf({}, { cniVersion: "0.3.1" })],
      ...["0.1.0", "0.2.0", "0.3.0", "0.4.0", "1.0.0"].map(
        (cniVersion) => [staticConf(undefined, { cniVersion })] as const,
      ),
      [staticConf({ addresses: ADDRESSES, routes: [{ dst: "10.9.0.0/16", gw: "10.31.0.9" }], dns: { domain: "a" } })],
      [staticConf(), { args: "IP=10.3.0.1/24,10.4.0.1/16;GATEWAY=10.4.0.2" }],
      [staticConf(), { args: "GATEWAY=10.31.0.77" }],
      [staticConf({}), { args: "IP=10.3.0.1/24;GATEWAY=10.3.0.2,10.3.0.3" }],
      [staticConf(), { args: "IP=::ffff:10.3.0.1/120" }],
      [staticConf(), { args: "IP=10.3.0.1" }],
      [staticConf(), { args: "IP=10.3.0.1/24;GATEWAY=no" }],
      [staticConf(undefined, { runtimeConfig: { ips: [] }, args: { cni: { ips: ["10.5.0.1/24"] } } })],
      [staticConf(undefined, { runtimeConfig: { ips: ["10.6.0.1"] } })],
      [staticConf({ addresses: [{ address: "nonsense" }] }, { runtimeConfig: { ips: ["10.6.0.1/24"] } })],
      [staticConf({ addresses: [{ address: "10.0.0.1/33" }] })],
      [staticConf({ addresses: [{ address: "10.0.0.1/8" }, { address: "10.0.0.2/8" }] }, { cniVersion: "0.1.0" })],
    ];
    for (const [conf, options] of cases) {
      const [ours, theirs] = [await comparable(conf, options), await comparable(conf, { ...options, path: directory })];
      expect(ours, JSON.stringify([conf, options])).toEqual(theirs);
    }
  });
});

/** A result, or an error's message: codes are ours to do better. */
async function comparable(conf: Conf, options: CniOptions = {}): Promise<unknown> {
  const json = (await answer(conf, options)) as Record<string, unknown>;
  if ("msg" in json) return json.msg;
  // Up to 1.1.1, which Debian has, the reference prints an empty one in the newer versions, too.
  const { dns, ...rest } = json;
  return Object.keys(Object(dns)).length === 0 ? rest : json;
}

describe("CHECK", () => {
  it("names an address or a gateway that the result lacks, and tolerates others in it", async () => {
    host = await world();
    await host.addNetns("a");
    const result = { cniVersion: "1.1.0", ips: [...ADDRESSES, { address: "10.99.0.1/24" }] };
    expect(await check(host, staticConf(), result, "a")).toBe("");
    expect(await check(host, staticConf(), { ...result, ips: ADDRESSES.slice(1) }, "a")).toBe(
      "static: 10.31.0.5/24 is not in the result",
    );
    const other = [{ address: "10.31.0.5/24", gateway: "10.31.0.9" }, ...ADDRESSES.slice(1)];
    expect(await check(host, staticConf(), { ...result, ips: other }, "a")).toBe(
      "static: 10.31.0.5/24 has the gateway 10.31.0.9 in the result, wanted 10.31.0.1",
    );
  });
});

it("DEL, GC and STATUS have nothing to do; only STATUS minds a config that ADD would refuse", async () => {
  host = await world();
  const wrong = staticConf({ addresses: [{ address: "x" }] });
  const before = await host.snapshot();
  for (let times = 0; times < 2; times++) await detach(host, wrong, "a");
  await detach(host, wrong, "a", { netns: "" });
  await well(host.cni("GC", "static", { ...wrong, "cni.dev/valid-attachments": [] }));
  await well(host.cni("STATUS", "static", staticConf()));
  expect((await host.cni("STATUS", "static", wrong)).json).toMatchObject({ code: 7 });
  expect(await host.snapshot()).toBe(before);
});
