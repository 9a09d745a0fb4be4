import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import type { PluginCall } from "../../../lib/cni/types.ts";
import { isTsnetError } from "../../../lib/errors.ts";
import { formatAddress } from "../../../lib/net/address.ts";
import { type PortmapConfig, parseConfig } from "../../../plugins/portmap/config.ts";

function parse(conf: object, portMappings: unknown = []): PortmapConfig {
  const stdin = JSON.stringify({
    cniVersion: "1.0.0",
    name: "net1",
    type: "portmap",
    ...conf,
    runtimeConfig: { portMappings },
  });
  const call: PluginCall = {
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
  return parseConfig(call);
}

const mapping = { hostPort: 8080, containerPort: 80, protocol: "tcp" };

describe("portmap's config", () => {
  it("has the reference's defaults", () => {
    expect(parse({})).toEqual({
      mappings: [],
      backend: undefined,
      snat: true,
      masqAll: false,
      markMasqBit: 13,
      externalSetMarkChain: undefined,
      conditionsV4: [],
      conditionsV6: [],
    });
  });

  it("reads every key, without regard to case", () => {
    const conf = {
      SNAT: false,
      masqAll: true,
      markMasqBit: 0,
      conditionsV4: ["-s", "10.0.0.0/8"],
      Backend: "iptables",
    };
    expect(
      parse(conf, [{ HostPort: 53, containerport: 5353, Protocol: "UDP", hostIP: "::ffff:192.0.2.1" }]),
    ).toMatchObject({
      snat: false,
      masqAll: true,
      markMasqBit: 0,
      conditionsV4: ["-s", "10.0.0.0/8"],
      backend: "iptables",
      mappings: [{ hostPort: 53, containerPort: 5353, protocol: "udp" }],
    });
    const [first] = parse({}, [{ ...mapping, hostIP: "::ffff:192.0.2.1" }]).mappings;
    expect(first?.hostIp && formatAddress(first.hostIp)).toBe("192.0.2.1");
  });

  it.each([
    ["a host port of 0", {}, { hostPort: 0 }, /invalid host port number: 0/],
    ["a negative host port", {}, { hostPort: -1 }, /invalid host port number: -1/],
    ["a host port above 65535", {}, { hostPort: 65536 }, /invalid host port number: 65536.*allowed are 1 to 65535/],
    ["no container port", {}, { containerPort: undefined }, /invalid container port number: 0/],
    ["a container port above 65535", {}, { containerPort: 70000 }, /portMappings\[0\]\.containerPort/],
    ["an unknown protocol", {}, { protocol: "icmp" }, /"icmp", allowed are "tcp", "udp" and "sctp"/],
    ["a host address that is none", {}, { hostIP: "localhost" }, /hostIP: invalid IP address: "localhost"/],
    ["a mark bit above 31", { markMasqBit: 32 }, {}, /markMasqBit is 32, allowed are 0 to 31/],
    ["a mark bit below 0", { markMasqBit: -1 }, {}, /markMasqBit is -1/],
    [
      "a mark bit beside somebody's chain",
      { markMasqBit: 13, externalSetMarkChain: "X" },
      {},
      /cannot specify external/,
    ],
    ["an unknown back end", { backend: "ipfw" }, {}, /unrecognized backend "ipfw"/],
    [
      "conditions of the other back end",
      { backend: "iptables", conditionsV4: ["ip", "saddr", "10.0.0.1"] },
      {},
      /iptables backend was requested but configuration contains nftables-specific options \[conditionsV4\]/,
    ],
    [
      "somebody's iptables chain with nftables",
      { backend: "nftables", externalSetMarkChain: "KUBE-MARK-MASQ" },
      {},
      /nftables backend was requested but configuration contains iptables-specific options \[externalSetMarkChain\]/,
    ],
    [
      "conditions of both",
      { conditionsV4: ["-s", "10.0.0.1"], conditionsV6: ["ip6 saddr ::1"] },
      {},
      /specific options/,
    ],
  ])("refuses %s", (_, conf, more, message) => {
    expect(() => parse(conf, [{ ...mapping, ...more }])).toThrow(message);
    try {
      parse(conf, [{ ...mapping, ...more }]);
    } catch (error) {
      expect(error).toMatchObject({ code: "invalid" });
    }
  });

  it("takes the back end whose words its options use, where none is named", () => {
    expect(parse({ conditionsV6: ["!", "-d", "fd00::1"] }).backend).toBe("iptables");
    expect(parse({ conditionsV4: ["ip daddr != 192.0.2.1"] }).backend).toBe("nftables");
    expect(parse({ externalSetMarkChain: "KUBE-MARK-MASQ" }).backend).toBe("iptables");
    expect(parse({ conditionsV4: [""], conditionsV6: [] }).backend).toBeUndefined();
  });

  it("throws coded errors only, whatever the mappings are", () => {
    const value = fc.oneof(fc.integer(), fc.double(), fc.string(), fc.constant(null), fc.boolean());
    const entry = fc.record(
      { hostPort: value, containerPort: value, protocol: value, hostIP: value },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(entry), (mappings) => {
        try {
          for (const { hostPort, containerPort } of parse({}, mappings).mappings) {
            expect(Math.min(hostPort, containerPort)).toBeGreaterThan(0);
            expect(Math.max(hostPort, containerPort)).toBeLessThan(65536);
          }
        } catch (error) {
          expect(isTsnetError(error, "invalid", "decoding"), String(error)).toBe(true);
        }
      }),
    );
  });
});
