import { describe, expect, it } from "vitest";
import { parseResult } from "../../../lib/cni/versions.ts";
import { redirectsOf } from "../../../lib/firewall/redirect.ts";
import type { PortMapping } from "../../../lib/firewall/types.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import type { PortmapConfig } from "../../../plugins/portmap/config.ts";
import { planPublish } from "../../../plugins/portmap/plan.ts";

const WEB: PortMapping = { hostPort: 8080, containerPort: 80, protocol: "tcp" };

const config = (...mappings: readonly PortMapping[]): PortmapConfig => ({
  mappings,
  backend: undefined,
  snat: true,
  masqAll: false,
  markMasqBit: 13,
  externalSetMarkChain: undefined,
  conditionsV4: [],
  conditionsV6: [],
});

const BRIDGED = {
  interfaces: [{ name: "br0" }, { name: "veth1" }, { name: "eth0", sandbox: "/run/netns/c1" }],
  ips: [
    { interface: 2, address: "10.1.0.5/24" },
    { interface: 2, address: "fd00::5/64" },
  ],
};

/** `HOST -> TARGET` of each redirection that comes of a result. */
function lines(result: object, ...mappings: readonly PortMapping[]): readonly string[] {
  const wish = planPublish(config(...mappings), parseResult(result, "1.0.0"), "eth0");
  return (wish === undefined ? [] : redirectsOf(wish)).map(
    ({ family, hostIp, hostPort, target, targetPort }) =>
      `${family} ${hostIp ?? "*"} ${hostPort} -> ${target} ${targetPort}`,
  );
}

describe("portmap's plan", () => {
  it("leads a port to the container's address of each family", () => {
    expect(lines(BRIDGED, WEB)).toEqual(["4 * 8080 -> 10.1.0.5 80", "6 * 8080 -> fd00::5 80"]);
  });

  it("takes the first address of a family", () => {
    const ips = [{ address: "10.1.0.5/24" }, { address: "10.2.0.5/24" }];
    expect(lines({ ips }, WEB)).toEqual(["4 * 8080 -> 10.1.0.5 80"]);
  });

  it("leaves out addresses of the host's interfaces and of other interfaces of the container", () => {
    const ips = [
      { interface: 0, address: "10.9.0.1/24" },
      { interface: 1, address: "10.8.0.1/24" },
      { interface: 2, address: "10.1.0.5/24" },
    ];
    const interfaces = [
      { name: "eth0" },
      { name: "eth1", sandbox: "/run/netns/c1" },
      { name: "eth0", sandbox: "/run/netns/c1" },
    ];
    expect(lines({ interfaces, ips }, WEB)).toEqual(["4 * 8080 -> 10.1.0.5 80"]);
  });

  it("skips a host address of the other family, and takes an unspecified one for any of its own", () => {
    const on = (hostIp: string) => ({ ...WEB, hostIp: parseAddress(hostIp) });
    expect(lines(BRIDGED, on("192.0.2.1"))).toEqual(["4 192.0.2.1 8080 -> 10.1.0.5 80"]);
    expect(lines(BRIDGED, on("2001:db8::1"))).toEqual(["6 2001:db8::1 8080 -> fd00::5 80"]);
    expect(lines(BRIDGED, on("0.0.0.0"))).toEqual(["4 * 8080 -> 10.1.0.5 80"]);
    expect(lines(BRIDGED, on("::"))).toEqual(["6 * 8080 -> fd00::5 80"]);
    expect(lines({ ips: [{ address: "10.1.0.5/24" }] }, on("2001:db8::1"))).toEqual([]);
  });

  it("is nothing for a container without an address", () => {
    expect(lines({ interfaces: BRIDGED.interfaces }, WEB)).toEqual([]);
  });

  it("knows whose connections have to come back through the host", () => {
    const masqueraded = (more: Partial<PortmapConfig>) => {
      const wish = planPublish({ ...config(WEB), ...more }, parseResult(BRIDGED, "1.0.0"), "eth0");
      return (wish === undefined ? [] : redirectsOf(wish)).map((redirect) => redirect.masqueraded);
    };
    expect(masqueraded({})).toEqual([["10.1.0.0/24", "127.0.0.0/8"], ["fd00::/64"]]);
    expect(masqueraded({ masqAll: true })).toEqual([["0.0.0.0/0"], ["::/0"]]);
    expect(masqueraded({ snat: false })).toEqual([[], []]);
  });
});
