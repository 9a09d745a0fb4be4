/** Keys of bridge that no other test shows by what they do: the docs of the reference plugin, one after the other. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attach, type Conf, type Result } from "./attachments.ts";
import type { CniOptions, Host } from "./host.ts";
import { bridgeConf, world } from "./world.ts";

let host: Host;
let made = 0;
beforeAll(async () => {
  host = await world();
});
afterAll(() => host.destroy());

/** A container on a network and a bridge of its own, called by a number. */
async function attached(more: object, options: CniOptions = {}): Promise<Result & { id: string; bridge: string }> {
  const at = ++made;
  const [id, bridge] = [`c${at}`, `br${at}`];
  const ipam = { type: "host-local", ranges: [[{ subnet: `10.${at}.0.0/24` }], [{ subnet: `fd00:${at}::/64` }]] };
  const conf = bridgeConf({ name: `net${at}`, bridge, ipam, isDefaultGateway: false, ...more });
  return { ...(await attach(host, conf as unknown as Conf, id, options)), id, bridge };
}

const addresses = (bridge: string) =>
  host.sh(`ip -o addr show dev ${bridge} scope global | awk '{print $4}' | tr '\\n' ' '`);

describe("the bridge", () => {
  it("is cni0 without a name, and carries no address unless it is a gateway", async () => {
    const { interfaces, ips } = await attached({ bridge: undefined });
    expect(interfaces[0]?.name).toBe("cni0");
    expect(ips.map(({ gateway }) => gateway)).toEqual(["10.1.0.1", "fd00:1::1"]);
    expect(await addresses("cni0")).toBe("");
  });

  it("carries the gateways' addresses with isGateway, and the host forwards; the container has no default route", async () => {
    await host.sh("echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding");
    const { id, bridge } = await attached({ isGateway: true });
    expect(await addresses(bridge)).toBe(`10.${made}.0.1/24 fd00:${made}::1/64 `);
    expect(await host.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding")).toBe("1\n1\n");
    expect(await host.sh(`ip -n ${id} route show default; ip -n ${id} -6 route show default`)).toBe("");
  });

  it("is the container's default route with isDefaultGateway", async () => {
    const { id, bridge } = await attached({ isDefaultGateway: true });
    expect(await addresses(bridge)).toBe(`10.${made}.0.1/24 fd00:${made}::1/64 `);
    const routes = await host.sh(`ip -n ${id} route show default; ip -n ${id} -6 route show default`);
    expect(routes).toContain(`default via 10.${made}.0.1 dev eth0`);
    expect(routes).toContain(`default via fd00:${made}::1 dev eth0`);
  });
});

describe("the container's interface", () => {
  it("looks for duplicates of its IPv6 addresses with enabledad, and has them at once without", async () => {
    const ipv6 = (id: string) =>
      host.ok(["ip", "-n", id, "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global"]);
    const acceptDad = async (id: string) =>
      (await host.inNetns(id, ["cat", "/proc/sys/net/ipv6/conf/eth0/accept_dad"])).stdout;
    const { id, bridge, ips } = await attached({ enabledad: true, isGateway: true });
    expect(await acceptDad(id)).toBe("1\n");
    expect(await ipv6(id)).not.toMatch(/nodad|tentative|dadfailed/);
    const address = ips[1]?.address ?? "";
    const ipam = { type: "static", addresses: [{ address, gateway: ips[1]?.gateway }] };
    const taken = bridgeConf({ name: "net0", bridge, isGateway: true, enabledad: true, ipam });
    await host.addNetns("taken");
    const out = await host.cni("ADD", "bridge", taken, { id: "taken", netns: "/run/netns/taken" });
    expect(out.json).toMatchObject({ msg: expect.stringContaining(`eth0 has address ${address} in DADFAILED state`) });
    expect(await host.ok(["ip", "-n", "taken", "-br", "link"])).not.toContain("eth0");
    const other = await attached({ isGateway: true });
    expect(await acceptDad(other.id)).toBe("0\n");
    expect(await ipv6(other.id)).toContain("nodad");
  });

  it("stays down with disableContainerInterface, which goes with no ipam", async () => {
    const { id, ips = [] } = await attached({ disableContainerInterface: true, ipam: {} });
    expect(ips).toEqual([]);
    expect(await host.ok(["ip", "-n", id, "link", "show", "eth0"])).toMatch(/<BROADCAST,MULTICAST> .* state DOWN/);
    const conf = bridgeConf({ disableContainerInterface: true });
    expect(
      (await host.cni("ADD", "bridge", conf, { id: "none", netns: `/run/netns/${id}`, ifname: "eth1" })).json,
    ).toMatchObject({
      code: 7,
      msg: expect.stringContaining("disableContainerInterface"),
    });
  });

  it("is up without an address where ipam is empty", async () => {
    const { id, bridge, ips = [] } = await attached({ ipam: {} });
    expect(ips).toEqual([]);
    expect(await host.ok(["ip", "-n", id, "-o", "addr", "show", "dev", "eth0", "scope", "global"])).toBe("");
    expect(await host.ok(["ip", "-n", id, "link", "show", "eth0"])).toContain("state UP");
    expect(await addresses(bridge)).toBe("");
  });

  it.each([
    ["runtimeConfig.mac", { runtimeConfig: { mac: "02:00:00:00:00:0a" } }, "02:00:00:00:00:0a"],
    ["args.cni.mac", {}, "02:00:00:00:00:0b"],
    ["MAC of CNI_ARGS", { args: {} }, "02:00:00:00:00:0c"],
  ])("has the MAC of %s, before those that come after it", async (_, more, mac) => {
    const { id, interfaces } = await attached(
      { args: { cni: { mac: "02:00:00:00:00:0b" } }, ...more },
      { args: "IgnoreUnknown=true;MAC=02:00:00:00:00:0c;K8S_POD_NAME=p" },
    );
    expect(interfaces[2]?.mac).toBe(mac);
    expect(await host.ok(["ip", "-n", id, "link", "show", "eth0"])).toContain(mac);
  });
});

it("dns of the config, even an empty field of it, comes before that of IPAM", async () => {
  const ipam = { type: "static", addresses: [{ address: "10.99.0.5/24" }], dns: { nameservers: ["10.0.0.53"] } };
  expect(await attached({ ipam })).toMatchObject({ dns: { nameservers: ["10.0.0.53"] } });
  expect(await attached({ ipam, dns: { domain: "x.org" } })).toMatchObject({ dns: { domain: "x.org" } });
  expect(await attached({ ipam, dns: { search: [] } })).not.toHaveProperty("dns.nameservers");
});
