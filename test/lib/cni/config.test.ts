import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { addressIn, cidrIn, parseJsonObject } from "../../../lib/cni/object.ts";
import { formatAddress } from "../../../lib/net/address.ts";

const parse = (text: string) => parseJsonObject(text, "the network config");
const conf = (object: unknown) => parseNetConf(parse(JSON.stringify(object)));
const coded = (code: string, message: string | RegExp) =>
  expect.objectContaining({
    name: "TsnetError",
    code,
    message: typeof message === "string" ? message : expect.stringMatching(message),
  });

describe("a network config", () => {
  it("is read with the keys that every plugin shares", () => {
    const parsed = conf({
      cniVersion: "1.1.0",
      name: "front",
      type: "bridge",
      runtimeConfig: { mac: "x" },
      args: { cni: { ips: ["10.1.0.5"] } },
      dns: { nameservers: [] },
      "cni.dev/valid-attachments": [{ containerID: "web", ifname: "eth0" }],
    });
    expect(parsed).toMatchObject({ cniVersion: "1.1.0", name: "front", type: "bridge", dns: { nameservers: [] } });
    expect(parsed.runtimeConfig.string("mac")).toBe("x");
    expect(parsed.args.object("cni")?.strings("ips")).toEqual(["10.1.0.5"]);
    expect(parsed.validAttachments).toEqual([{ containerID: "web", ifname: "eth0" }]);
  });

  it("without a version is 0.1.0", () => {
    expect(conf({ name: "front" }).cniVersion).toBe("0.1.0");
    expect(conf({ name: "front", cniVersion: "" }).cniVersion).toBe("0.1.0");
  });

  it("tells an empty list of valid attachments from none", () => {
    expect(conf({ name: "front", "cni.dev/valid-attachments": [] }).validAttachments).toEqual([]);
    expect(conf({ name: "front", "cni.dev/valid-attachments": null }).validAttachments).toBeUndefined();
    expect(conf({ name: "front" }).validAttachments).toBeUndefined();
  });

  it("with a valid attachment that lacks its interface is refused, for GC would take a living one", () => {
    expect(() => conf({ name: "front", "cni.dev/valid-attachments": [{ containerID: "web" }] })).toThrow(
      coded("invalid", "cni.dev/valid-attachments[0] needs containerID and ifname"),
    );
  });

  it("has a name that can be a file's", () => {
    expect(() => conf({})).toThrow(coded("invalid", "missing network name"));
    expect(() => conf({ name: "../x" })).toThrow(coded("invalid", "invalid characters found in network name"));
  });

  it("has keys of any case, the last one counting", () => {
    const { raw } = conf({ NAME: "front", bandWidth: { IngressRate: 1 }, bridge: "a", Bridge: "b" });
    expect(raw.object("bandwidth")?.integer("ingressrate")).toBe(1);
    expect(raw.string("BRIDGE")).toBe("b");
    expect(raw.keys()).toEqual(["NAME", "bandWidth", "bridge", "Bridge"]);
  });

  it("counts null as absent", () => {
    const { raw } = conf({ name: "front", ipam: null });
    expect(raw.has("ipam")).toBe(false);
    expect(raw.object("ipam")).toBeUndefined();
  });

  it("names the key that has the wrong type", () => {
    const { raw } = conf({ name: "front", mtu: "1500", ipam: { ranges: [[], {}], n: 1.5, on: "true" } });
    expect(() => raw.number("mtu")).toThrow(
      coded("decoding", 'mtu in the network config must be a number, not "1500"'),
    );
    const ipam = raw.object("ipam");
    expect(() => ipam?.strings("ranges")).toThrow(coded("decoding", "ipam.ranges[0] must be a string, not a list"));
    expect(() => ipam?.objects("ranges")).toThrow(coded("decoding", "ipam.ranges[0] must be an object, not a list"));
    expect(() => ipam?.integer("n")).toThrow(coded("decoding", "ipam.n must be a whole number, not 1.5"));
    expect(() => ipam?.boolean("on")).toThrow(coded("decoding", 'ipam.on must be true or false, not "true"'));
    expect(() => ipam?.object("n")).toThrow(coded("decoding", "ipam.n must be an object, not 1.5"));
    expect(() => ipam?.array("n")).toThrow(coded("decoding", "ipam.n must be a list, not 1.5"));
    expect(() => conf({ name: 5 })).toThrow(coded("decoding", "name in the network config must be a string, not 5"));
  });

  it("names the key that has no address", () => {
    const { raw } = conf({ name: "front", ipam: { gateway: "10.1.0.256", subnet: "10.1.0.0", empty: "" } });
    const ipam = raw.object("ipam");
    if (ipam === undefined) throw new Error("no ipam");
    expect(() => addressIn(ipam, "gateway")).toThrow(coded("invalid", /^ipam.gateway: invalid IP address/));
    expect(() => cidrIn(ipam, "subnet")).toThrow(coded("invalid", /^ipam.subnet: invalid CIDR address/));
    expect(addressIn(ipam, "empty")).toBeUndefined();
    expect(formatAddress({ family: 6, value: 5n })).toBe("::5");
  });

  it.each(["", "{", "[]", "null", "5", '"x"', '{"a":1}}', "\u0000"])("%j is no config", (text) => {
    expect(() => parse(text)).toThrow(coded("decoding", /the network config/));
  });

  it("that is nested too deep, or too long, is refused and overflows nothing", () => {
    const deep = `{"name":"front","x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
    expect(() => parse(deep)).toThrow(coded("decoding", /nested deeper than 1000 levels/));
    expect(() => parse(`{"name":"${"x".repeat(64 * 1024 * 1024)}"}`)).toThrow(coded("decoding", /longer than/));
  });

  it("that is wide but flat is taken", () => {
    const valid = Array.from({ length: 20_000 }, (_, i) => ({ containerID: `c${i}`, ifname: "eth0" }));
    expect(conf({ name: "front", "cni.dev/valid-attachments": valid }).validAttachments).toHaveLength(20_000);
  });

  it("keeps __proto__ a key like any other", () => {
    const { raw } = parseNetConf(parse('{"name":"front","__proto__":{"type":"x"}}'));
    expect(raw.string("type")).toBeUndefined();
    expect(raw.object("__proto__")?.string("type")).toBe("x");
  });

  it("of any JSON, or any text, is parsed or refused with a code", () => {
    const shape = fc.record(
      {
        name: fc.oneof(fc.constant("front"), fc.jsonValue()),
        cniVersion: fc.oneof(fc.constant("1.0.0"), fc.jsonValue()),
        type: fc.jsonValue(),
        runtimeConfig: fc.jsonValue(),
        args: fc.jsonValue(),
        dns: fc.oneof(fc.jsonValue(), fc.record({ nameservers: fc.jsonValue(), domain: fc.jsonValue() })),
        "cni.dev/valid-attachments": fc.oneof(fc.jsonValue(), fc.array(fc.record({ containerID: fc.jsonValue() }))),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          shape.map((object) => JSON.stringify(object)),
        ),
        (text) => {
          try {
            parseNetConf(parse(text));
          } catch (error) {
            expect(error).toMatchObject({ name: "TsnetError", code: expect.stringMatching(/^(decoding|invalid)$/) });
          }
        },
      ),
    );
  });
});
