import { describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import type { PluginCall } from "../../../lib/cni/types.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import type { SubnetEnv } from "../../../lib/overlay/subnetenv.ts";
import { checkDelegate, parseConfig } from "../../../plugins/overlay/config.ts";
import { delegateConf, rangesAround } from "../../../plugins/overlay/plan.ts";

const ENV: SubnetEnv = {
  networks: { 4: parseCidr("10.244.0.0/16") },
  subnets: { 4: parseCidr("10.244.1.1/24") },
  mtu: 1450,
  ipMasq: true,
};

const DUAL: SubnetEnv = {
  ...ENV,
  networks: { ...ENV.networks, 6: parseCidr("fd00:244::/48") },
  subnets: { ...ENV.subnets, 6: parseCidr("fd00:244:0:1::1/64") },
};

function callOf(conf: object): PluginCall {
  const stdin = JSON.stringify({ cniVersion: "1.0.0", name: "net1", type: "overlay", ...conf });
  return {
    command: "ADD",
    containerId: "c1",
    netns: "/run/netns/c1",
    ifname: "eth0",
    path: [],
    args: "",
    stdin,
    conf: parseNetConf(parseJsonObject(stdin, "config")),
    attachment: { network: "net1", containerId: "c1", ifname: "eth0" },
  };
}

function plan(conf: object, env: SubnetEnv | undefined = ENV, taken: readonly string[] = []) {
  const call = callOf(conf);
  const config = parseConfig(call);
  checkDelegate(config);
  return delegateConf(call, config, { env, taken: taken.map(parseAddress) });
}

describe("the config for the plugin that does the work", () => {
  it("is a bridge on this host's subnet, a gateway to everywhere, that masquerades nothing", () => {
    expect(plan({})).toEqual({
      cniVersion: "1.0.0",
      name: "net1",
      type: "bridge",
      bridge: "cni0",
      isDefaultGateway: true,
      hairpinMode: true,
      ipMasq: false,
      mtu: 1450,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.244.1.0/24" }]], routes: [{ dst: "10.244.0.0/16" }] },
    });
  });

  it("has a range and a route of each family, and a route to every further network", () => {
    const env = { ...DUAL, moreNetworks: [parseCidr("10.245.0.0/16")] };
    expect(plan({}, env).ipam).toEqual({
      type: "host-local",
      ranges: [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:244:0:1::/64" }]],
      routes: [{ dst: "10.244.0.0/16" }, { dst: "fd00:244::/48" }, { dst: "10.245.0.0/16" }],
    });
  });

  it("takes what flannel's configs have under delegate, whatever the case of its keys", () => {
    const delegate = { HairpinMode: false, isDefaultGateway: true, mtu: 1400, ipMasq: true, bridge: "br1", vlan: 7 };
    const conf = plan({ delegate });
    expect(conf).toMatchObject({ ...delegate, type: "bridge" });
    expect(conf).not.toHaveProperty("hairpinMode");
  });

  it("asks for no default route where delegate speaks of the gateway, and for no hairpin beside promiscMode", () => {
    expect(plan({ delegate: { isGateway: true } })).not.toHaveProperty("isDefaultGateway");
    expect(plan({ delegate: { promiscMode: true } })).not.toHaveProperty("hairpinMode");
  });

  it("gives another plugin than bridge none of bridge's keys", () => {
    expect(plan({ delegate: { type: "ptp" } })).toEqual({
      cniVersion: "1.0.0",
      name: "net1",
      type: "ptp",
      ipMasq: false,
      mtu: 1450,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.244.1.0/24" }]], routes: [{ dst: "10.244.0.0/16" }] },
    });
  });

  it("adds to the ipam that is given", () => {
    const ipam = { dataDir: "/run/ipam", routes: [{ dst: "192.0.2.0/24", gw: "10.244.1.7" }], ranges: "flannel's too" };
    expect(plan({ ipam }).ipam).toEqual({
      type: "host-local",
      dataDir: "/run/ipam",
      ranges: [[{ subnet: "10.244.1.0/24" }]],
      routes: [{ dst: "192.0.2.0/24", gw: "10.244.1.7" }, { dst: "10.244.0.0/16" }],
    });
  });

  it("passes on what the runtime gives", () => {
    const given = {
      runtimeConfig: { mac: "0a:00:00:00:00:07", portMappings: [] },
      args: { cni: { ips: ["10.244.1.9"] } },
      dns: { nameservers: ["10.96.0.10"] },
      "cni.dev/valid-attachments": [],
    };
    expect(plan(given)).toMatchObject(given);
  });

  it("replaces the address of a bridge that was left behind, unless the delegate says otherwise", () => {
    const ground = { env: ENV, taken: [], leftOver: true };
    const planned = (conf: object) => delegateConf(callOf(conf), parseConfig(callOf(conf)), ground);
    expect(planned({})).toMatchObject({ forceAddress: true });
    expect(planned({ delegate: { forceaddress: false } })).not.toHaveProperty("forceAddress");
    expect(planned({ delegate: { type: "ipvlan" } })).not.toHaveProperty("forceAddress");
  });

  it("says nothing of addresses where no subnet is known", () => {
    const call = callOf({ ipam: { dataDir: "/run/ipam" } });
    expect(delegateConf(call, parseConfig(call), { env: undefined, taken: [] })).toEqual({
      cniVersion: "1.0.0",
      name: "net1",
      type: "bridge",
      bridge: "cni0",
      isDefaultGateway: true,
      hairpinMode: true,
      ipMasq: false,
      ipam: { type: "host-local", dataDir: "/run/ipam" },
    });
  });

  it.each([
    [{ delegate: { name: "x" } }, "delegate.name is not yours to set"],
    [{ delegate: { IPAM: {} } }, "delegate.ipam is not yours to set"],
    [{ delegate: { type: "overlay" } }, "delegate.type is overlay, which would call itself again"],
    [{ delegate: { type: "flannel" } }, "delegate.type is flannel"],
    [{ delegate: [] }, "delegate in config must be an object, not a list"],
    [{ delegate: { type: 7 } }, "delegate.type must be a string"],
    [{ subnetFile: {} }, "subnetFile in config must be a string"],
  ])("is refused for %j", (conf, message) => {
    expect(() => plan(conf)).toThrow(message);
  });
});

describe("ranges around addresses that are taken on a network of another name", () => {
  const ranges = (subnet: string, ...taken: readonly string[]) =>
    rangesAround(parseCidr(subnet), taken.map(parseAddress)).map((range) => `${range.rangeStart}-${range.rangeEnd}`);

  it("are the whole subnet where none is", () => {
    expect(rangesAround(parseCidr("10.244.1.0/24"), [parseAddress("10.244.2.3")])).toEqual([
      { subnet: "10.244.1.0/24" },
    ]);
  });

  it("leave them out, in whatever order they come", () => {
    expect(ranges("10.244.1.0/24", "10.244.1.9", "10.244.1.5", "10.244.1.6")).toEqual([
      "10.244.1.1-10.244.1.4",
      "10.244.1.7-10.244.1.8",
      "10.244.1.10-10.244.1.254",
    ]);
  });

  it("leave out the first and the last", () => {
    expect(ranges("10.244.1.0/29", "10.244.1.1", "10.244.1.6")).toEqual(["10.244.1.2-10.244.1.5"]);
    expect(ranges("fd00::/64", "fd00::5")).toEqual(["fd00::1-fd00::4", "fd00::6-fd00::ffff:ffff:ffff:ffff"]);
  });
});
