import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import type { CniInterface, CniResult, PluginCall } from "../../../lib/cni/types.ts";
import { isTsnetError } from "../../../lib/errors.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { backendOf, parseConfig } from "../../../plugins/firewall/config.ts";
import { planForward } from "../../../plugins/firewall/plan.ts";

function callOf(conf: object): PluginCall {
  const stdin = JSON.stringify({ cniVersion: "1.0.0", name: "net1", type: "firewall", ...conf });
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
const parse = (conf: object) => parseConfig(callOf(conf));

describe("the firewall plugin's config", () => {
  it("has the reference's defaults, empty texts included", () => {
    const defaults = { backend: undefined, adminChain: "CNI-ADMIN", firewalldZone: "trusted", ingress: "open" };
    expect(parse({})).toEqual(defaults);
    const empty = { backend: "", iptablesAdminChainName: "", firewalldZone: "", ingressPolicy: "" };
    expect(parse(empty)).toEqual(defaults);
  });

  it("takes its keys in any case of letters", () => {
    const conf = {
      BackEnd: "firewalld",
      IPTABLESADMINCHAINNAME: "MINE",
      firewalldzone: "work",
      ingresspolicy: "isolated",
    };
    expect(parse(conf)).toEqual({
      backend: "firewalld",
      adminChain: "MINE",
      firewalldZone: "work",
      ingress: "isolated",
    });
  });

  it("refuses with an error of its own whatever else stands under its keys", () => {
    const key = fc.constantFrom("backend", "iptablesAdminChainName", "firewalldZone", "ingressPolicy");
    fc.assert(
      fc.property(key, fc.jsonValue({ maxDepth: 1 }), (name, value) => {
        try {
          parse({ [name]: value });
        } catch (error) {
          expect(isTsnetError(error, "invalid", "decoding")).toBe(true);
        }
      }),
    );
  });

  it("tells the back end to verbs that must not care for the rest", () => {
    expect(backendOf(callOf({ backend: "nftables", ingressPolicy: 7 }))).toBe("nftables");
    expect(backendOf(callOf({ backend: ["nftables"] }))).toBeUndefined();
  });
});

describe("the firewall plugin's plan", () => {
  const host = (name: string): CniInterface => ({ name });
  const inside = { name: "eth0", sandbox: "/run/netns/c1" };
  const resultOf = (...interfaces: readonly CniInterface[]): CniResult => ({
    interfaces,
    ips: [{ address: parseCidr("10.1.0.5/24") }, { address: parseCidr("fd01::5/64"), interface: 7 }],
    routes: [],
    dns: {},
  });
  const plan = (ingressPolicy: string, ...interfaces: readonly CniInterface[]) =>
    planForward(parse({ ingressPolicy }), resultOf(...interfaces), false);

  it("takes all addresses, whatever interface they are said to be on", () => {
    expect(plan("open").addresses).toEqual([parseCidr("10.1.0.5/24"), parseCidr("fd01::5/64")]);
  });

  it("walls the bridge, and the interface by which the host is on a VLAN of it", () => {
    const links = (...interfaces: readonly CniInterface[]) => plan("isolated", ...interfaces).links;
    expect(links(host("br0"), host("veth1"), inside)).toEqual(["br0"]);
    expect(links(host("br0"), host("veth1"), inside, host("br0.100"))).toEqual(["br0", "br0.100"]);
  });

  it("does without a bridge where nothing is walled", () => {
    expect(plan("open").links).toEqual([]);
    expect(plan("open", inside).links).toEqual([]);
  });

  it.each(["same-bridge", "isolated"])("needs one for %s", (policy) => {
    expect(() => plan(policy)).toThrow(/first interface of the result needs to be the bridge.*there is none/);
    expect(() => plan(policy, inside)).toThrow(/it is eth0 inside the container/);
  });

  it("refuses walls around a name that a packet filter would read as something else", () => {
    for (const name of ["br+", "br*", 'a"b', "a -j ACCEPT", "longer-than-fifteen"]) {
      expect(() => plan("same-bridge", host(name))).toThrow(/no walls can be built around/);
      expect(plan("open", host(name)).links).toEqual([]);
    }
  });

  it("asks for the zone where firewalld is to accept", () => {
    const asked = planForward(parse({ firewalldZone: "work" }), resultOf(host("br0")), true);
    expect(asked).toMatchObject({ firewalldZone: "work", links: ["br0"] });
    expect(planForward(parse({ firewalldZone: "work" }), resultOf(), false)).not.toHaveProperty("firewalldZone");
  });
});
