import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import { CNI_VERSIONS, isAtLeast } from "../../../lib/cni/supported.ts";
import type { CniInterface, CniIp, CniResult, CniRoute } from "../../../lib/cni/types.ts";
import { encodeResult, parsePrevResult, parseResult, parseResultText } from "../../../lib/cni/versions.ts";
import { type Address, parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";

const WHOLE: CniResult = {
  interfaces: [
    { name: "cni0", mac: "0a:00:00:00:00:01", mtu: 1400 },
    { name: "eth0", mac: "0a:00:00:00:00:02", sandbox: "/run/netns/web", socketPath: "/s", pciID: "0000:00:1f.6" },
  ],
  ips: [
    { interface: 1, address: parseCidr("10.1.0.5/24"), gateway: parseAddress("10.1.0.1") },
    { interface: 1, address: parseCidr("fd00::5/64"), gateway: parseAddress("fd00::1") },
    { interface: 1, address: parseCidr("10.2.0.5/24") },
  ],
  routes: [
    {
      dst: parseCidr("0.0.0.0/0"),
      gw: parseAddress("10.1.0.1"),
      mtu: 1300,
      advmss: 1260,
      priority: 5,
      table: 0,
      scope: 0,
    },
    { dst: parseCidr("::/0") },
  ],
  dns: { nameservers: ["10.1.0.1"], domain: "local", search: ["local"], options: ["ndots:5"] },
};
const DNS = { nameservers: ["10.1.0.1"], domain: "local", search: ["local"], options: ["ndots:5"] };

describe("a result", () => {
  it.each(["0.1.0", "0.2.0"])("in %s has the first address of each family and no interfaces", (version) => {
    expect(encodeResult(WHOLE, version)).toEqual({
      cniVersion: version,
      ip4: { ip: "10.1.0.5/24", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }] },
      ip6: { ip: "fd00::5/64", gateway: "fd00::1", routes: [{ dst: "::/0" }] },
      dns: DNS,
    });
  });

  it("without an address cannot be written below 0.3.0", () => {
    expect(() => encodeResult({ ...WHOLE, ips: [] }, "0.2.0")).toThrow("cannot convert: no valid IP addresses");
  });

  it.each(["0.3.0", "0.3.1", "0.4.0"])("in %s says the version of each address", (version) => {
    expect(encodeResult(WHOLE, version)).toEqual({
      cniVersion: version,
      interfaces: [
        { name: "cni0", mac: "0a:00:00:00:00:01" },
        { name: "eth0", mac: "0a:00:00:00:00:02", sandbox: "/run/netns/web" },
      ],
      ips: [
        { version: "4", interface: 1, address: "10.1.0.5/24", gateway: "10.1.0.1" },
        { version: "6", interface: 1, address: "fd00::5/64", gateway: "fd00::1" },
        { version: "4", interface: 1, address: "10.2.0.5/24" },
      ],
      routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }, { dst: "::/0" }],
      dns: DNS,
    });
  });

  it("in 1.0.0 says it no more", () => {
    expect(encodeResult(WHOLE, "1.0.0")).toEqual({
      cniVersion: "1.0.0",
      interfaces: [
        { name: "cni0", mac: "0a:00:00:00:00:01" },
        { name: "eth0", mac: "0a:00:00:00:00:02", sandbox: "/run/netns/web" },
      ],
      ips: [
        { interface: 1, address: "10.1.0.5/24", gateway: "10.1.0.1" },
        { interface: 1, address: "fd00::5/64", gateway: "fd00::1" },
        { interface: 1, address: "10.2.0.5/24" },
      ],
      routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }, { dst: "::/0" }],
      dns: DNS,
    });
  });

  it("in 1.1.0 has everything", () => {
    expect(encodeResult(WHOLE, "1.1.0")).toMatchObject({
      interfaces: [
        { name: "cni0", mac: "0a:00:00:00:00:01", mtu: 1400 },
        { name: "eth0", sandbox: "/run/netns/web", socketPath: "/s", pciID: "0000:00:1f.6" },
      ],
      routes: [
        { dst: "0.0.0.0/0", gw: "10.1.0.1", mtu: 1300, advmss: 1260, priority: 5, table: 0, scope: 0 },
        { dst: "::/0" },
      ],
    });
  });

  it("without dns leaves it out from 1.0.0 on, and has it empty before", () => {
    const bare = { ...WHOLE, dns: {} };
    for (const version of CNI_VERSIONS) {
      expect(encodeResult(bare, version).dns).toEqual(isAtLeast(version, "1.0.0") ? undefined : {});
    }
    expect(encodeResult({ ...WHOLE, dns: { nameservers: [], domain: "" } }, "1.0.0")).not.toHaveProperty("dns");
  });

  it("leaves empty lists out", () => {
    expect(encodeResult({ interfaces: [], ips: [], routes: [], dns: {} }, "1.1.0")).toEqual({ cniVersion: "1.1.0" });
  });

  it("is read in the version that it names itself, else in the config's", () => {
    const old = { cniVersion: "0.2.0", ip4: { ip: "10.1.0.5/24" } };
    expect(parseResult(old, "1.0.0").ips).toEqual([{ address: parseCidr("10.1.0.5/24") }]);
    expect(parseResult({ ip4: { ip: "10.1.0.5/24" } }, "0.1.0").ips).toHaveLength(1);
    expect(() => parseResult({ cniVersion: "9.9.9" }, "1.0.0")).toThrow('unsupported CNI result version "9.9.9"');
  });

  it("is read with keys of any case and printed canonically", () => {
    const read = parseResultText('{"CNIVersion":"1.0.0","IPs":[{"Address":"FD00:0::5/64","Gateway":""}]}', "1.0.0");
    expect(encodeResult(read, "1.0.0").ips).toEqual([{ address: "fd00::5/64" }]);
    const mapped = parseResult({ ips: [{ address: "::ffff:10.1.0.5/120" }] }, "0.4.0");
    expect(encodeResult(mapped, "0.4.0").ips).toEqual([{ version: "4", address: "10.1.0.5/24" }]);
  });

  it.each([
    [[], "the result must be an object, not a list"],
    [{ ips: [{}] }, "ips[0].address is missing"],
    [{ ips: [{ address: "10.1.0.5" }] }, 'ips[0].address: invalid CIDR address: "10.1.0.5"'],
    [{ ips: [{ address: "10.1.0.5/24", interface: -1 }] }, "ips[0].interface must be an index, not -1"],
    [{ routes: [{ gw: "10.1.0.1" }] }, "routes[0].dst is missing"],
    [{ interfaces: ["eth0"] }, 'interfaces[0] in the result must be an object, not "eth0"'],
  ])("like %j is refused", (json, message) => {
    expect(() => parseResult(json, "1.0.0")).toThrow(expect.objectContaining({ name: "TsnetError", message }));
  });
});

describe("prevResult", () => {
  const read = (result: object, version: string) =>
    parsePrevResult(parseJsonObject(JSON.stringify(result), "it"), version);

  it("is of the family of the config's version", () => {
    expect(read({ cniVersion: "0.3.1", ips: [] }, "0.4.0").ips).toEqual([]);
    expect(read({ cniVersion: "1.0.0" }, "1.1.0").ips).toEqual([]);
    expect(read({ ips: [{ address: "10.1.0.5/24" }] }, "1.1.0").ips).toHaveLength(1);
    expect(() => read({ cniVersion: "0.4.0" }, "1.0.0")).toThrow("prevResult has version 0.4.0");
    expect(() => read({ cniVersion: "0.2.0" }, "0.3.0")).toThrow("prevResult has version 0.2.0");
  });
});

const address = (family: 4 | 6) =>
  fc
    .bigInt(family === 4 ? 0n : 2n ** 64n, family === 4 ? 2n ** 32n - 1n : 2n ** 128n - 1n)
    .map((value): Address => ({ family, value }));
const cidr = (family: 4 | 6) =>
  fc.record({ address: address(family), prefix: fc.integer({ min: 0, max: family === 4 ? 32 : 128 }) });
const positive = fc.integer({ min: 1, max: 2 ** 31 });
const word = fc.stringMatching(/^[a-z0-9.:/-]{1,12}$/);
const words = fc.array(word, { minLength: 1, maxLength: 3 });

const interfaces = fc.array(
  fc.record(
    { name: word, mac: word, mtu: positive, sandbox: word, socketPath: word, pciID: word },
    { requiredKeys: ["name"] },
  ) as fc.Arbitrary<CniInterface>,
  { maxLength: 3 },
);
const ips = fc.array(
  fc.oneof(
    ...([4, 6] as const).map(
      (family) =>
        fc.record(
          { interface: fc.nat(5), address: cidr(family), gateway: address(family) },
          { requiredKeys: ["address"] },
        ) as fc.Arbitrary<CniIp>,
    ),
  ),
  { maxLength: 4 },
);
const routes = fc.array(
  fc.oneof(
    ...([4, 6] as const).map(
      (family) =>
        fc.record(
          {
            dst: cidr(family),
            gw: address(family),
            mtu: positive,
            advmss: positive,
            priority: positive,
            table: fc.nat(300),
            scope: fc.nat(255),
          },
          { requiredKeys: ["dst"] },
        ) as fc.Arbitrary<CniRoute>,
    ),
  ),
  { maxLength: 4 },
);
const dns = fc.record({ nameservers: words, domain: word, search: words, options: words }, { requiredKeys: [] });
const results: fc.Arbitrary<CniResult> = fc.record({ interfaces, ips, routes, dns });

/** What `version` can carry of a result. */
function carried(result: CniResult, version: string): CniResult {
  if (isAtLeast(version, "1.1.0")) return result;
  const list = {
    ...result,
    interfaces: result.interfaces.map(({ mtu: _m, socketPath: _s, pciID: _p, ...rest }) => rest),
    routes: result.routes.map(({ dst, gw }) => (gw === undefined ? { dst } : { dst, gw })),
  };
  if (isAtLeast(version, "0.3.0")) return list;
  const firsts = ([4, 6] as const).flatMap(
    (family) => list.ips.find((ip) => ip.address.address.family === family) ?? [],
  );
  return {
    ...list,
    interfaces: [],
    ips: firsts.map(({ interface: _i, ...rest }) => rest),
    routes: firsts.flatMap((ip) => list.routes.filter(({ dst }) => dst.address.family === ip.address.address.family)),
  };
}

describe("a result converted to another version and back", () => {
  it.each(CNI_VERSIONS)("is equal in what %s can carry", (version) => {
    fc.assert(
      fc.property(results, (result) => {
        fc.pre(isAtLeast(version, "0.3.0") || result.ips.length > 0);
        const wire: unknown = JSON.parse(JSON.stringify(encodeResult(result, version)));
        expect(parseResult(wire, version)).toEqual(carried(result, version));
      }),
    );
  });

  it.each([
    ["table", -1, 4294967295],
    ["table", 2 ** 32, 4294967295],
    ["scope", 256, 255],
    ["mtu", -5, 4294967295],
    ["priority", 2 ** 40, 4294967295],
  ])("with a route whose %s is %d is refused before a message is made of it", (key, value, most) => {
    const result = { cniVersion: "1.1.0", routes: [{ dst: "10.9.0.0/16", [key]: value }] };
    expect(() => parseResult(result, "1.1.0")).toThrow(`routes[0].${key} is ${value}, allowed are 0 to ${most}`);
  });

  it("of any JSON is parsed or refused with a code", () => {
    const json = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          cniVersion: fc.constantFrom(...CNI_VERSIONS),
          ips: fc.jsonValue(),
          ip4: fc.jsonValue(),
          routes: fc.jsonValue(),
          dns: fc.jsonValue(),
        },
        { requiredKeys: [] },
      ),
      fc.record({
        interfaces: fc.array(fc.record({ name: fc.jsonValue(), mtu: fc.jsonValue() })),
        ips: fc.array(fc.record({ address: fc.jsonValue() })),
      }),
    );
    fc.assert(
      fc.property(json, fc.constantFrom(...CNI_VERSIONS), (value, version) => {
        try {
          parseResult(value, version);
        } catch (error) {
          expect(error).toMatchObject({ name: "TsnetError", code: expect.stringMatching(/^(decoding|invalid)$/) });
        }
      }),
    );
  });
});
