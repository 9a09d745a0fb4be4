/** What a plugin that gives a container one interface takes from IPAM, also one whose links this kernel lacks. */
import { describe, expect, it } from "vitest";
import { parseNetConf } from "../../lib/cni/config.ts";
import { parseJsonObject } from "../../lib/cni/object.ts";
import type { PluginCall } from "../../lib/cni/types.ts";
import { encodeResult } from "../../lib/cni/versions.ts";
import { addressing } from "../../lib/plugin/interface.ts";
import { Undo } from "../../lib/undo.ts";
import { PLUGINS } from "./host.ts";

const IPAM = {
  type: "static",
  addresses: [{ address: "10.5.0.5/24", gateway: "10.5.0.1" }, { address: "fd05::5/64" }],
  routes: [{ dst: "0.0.0.0/0" }],
  dns: { nameservers: ["10.5.0.53"] },
};

/** Addresses, routes and dns for the config of a plugin, as its result shows them. */
async function given(conf: object): Promise<unknown> {
  const stdin = JSON.stringify({ cniVersion: "1.1.0", name: "net1", ipam: IPAM, ...conf });
  const call: PluginCall = {
    ...{ command: "ADD", containerId: "c1", netns: "/run/netns/c1", ifname: "eth0", path: [PLUGINS], args: "", stdin },
    conf: parseNetConf(parseJsonObject(stdin, "config")),
    attachment: { network: "net1", containerId: "c1", ifname: "eth0" },
  };
  const { ips, routes, dns } = await addressing(call, { ipamType: "static" }, new Undo());
  return encodeResult({ interfaces: [], ips, routes, dns }, "1.1.0");
}

describe.each(["ipvlan", "vlan"])("an interface of %s", (type) => {
  it("has the addresses and routes of the plugin that ipam names", async () => {
    expect(await given({ type })).toEqual({
      cniVersion: "1.1.0",
      ips: IPAM.addresses.map((address) => ({ ...address, interface: 0 })),
      routes: IPAM.routes,
      dns: IPAM.dns,
    });
  });

  it("has the dns of the config where that says anything", async () => {
    const dns = { nameservers: ["10.0.0.1", "8.8.8.8"], search: ["example.org"] };
    expect(await given({ type, dns })).toMatchObject({ dns });
    expect(await given({ type, dns: {} })).toMatchObject({ dns: IPAM.dns });
  });
});
