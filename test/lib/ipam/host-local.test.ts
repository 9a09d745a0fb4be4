import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import { CNI_VERSIONS } from "../../../lib/cni/supported.ts";
import type { CniCommand, PluginCall } from "../../../lib/cni/types.ts";
import { encodeResult, parseResult } from "../../../lib/cni/versions.ts";
import { hostLocal } from "../../../lib/ipam/host-local.ts";
import { formatAddress } from "../../../lib/net/address.ts";

let dataDir = "";
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "tsnet-ipam-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

interface Given {
  readonly id?: string;
  readonly ifname?: string;
  readonly args?: string;
  readonly version?: string;
  readonly name?: string;
  readonly conf?: object;
  readonly prevResult?: object;
}

function call(command: CniCommand, ipam: object | undefined, given: Given = {}): PluginCall {
  const { id = "web", ifname = "eth0", args = "", version = "1.1.0", name = "front", prevResult } = given;
  const stdin = JSON.stringify({
    cniVersion: version,
    name,
    type: "bridge",
    ...(ipam === undefined ? {} : { ipam: { type: "host-local", dataDir, ...ipam } }),
    ...given.conf,
  });
  const conf = parseNetConf(parseJsonObject(stdin, "it"));
  return {
    command,
    containerId: id,
    netns: "",
    ifname,
    path: [],
    args,
    conf: prevResult === undefined ? conf : { ...conf, prevResult: parseResult(prevResult, version) },
    stdin,
    attachment: { network: name, containerId: id, ifname },
  };
}

const SUBNET = { subnet: "10.1.0.0/24" };
const add = (ipam: object | undefined, given?: Given) => encodeResult(hostLocal.add(call("ADD", ipam, given)), "1.1.0");
const ips = (ipam: object | undefined, given?: Given) =>
  hostLocal.add(call("ADD", ipam, given)).ips.map(({ address }) => formatAddress(address.address));
const names = (network = "front") =>
  readdirSync(join(dataDir, network))
    .filter((name) => /^[0-9a-f.:]+$/.test(name))
    .sort();
const put = (name: string, text: string) => writeFileSync(join(dataDir, "front", name), text);
const age = (name: string) => utimesSync(join(dataDir, "front", name), 1_000_000_000, 1_000_000_000);

describe("ADD", () => {
  it("gives an address, its gateway, the routes and the resolver, and no interfaces", () => {
    writeFileSync(join(dataDir, "resolv.conf"), "nameserver 10.1.0.1\n");
    const ipam = {
      ...SUBNET,
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.9.0.0/16", gw: "10.1.0.9", mtu: 1400 }],
      resolvConf: join(dataDir, "resolv.conf"),
    };
    expect(add(ipam)).toEqual({
      cniVersion: "1.1.0",
      ips: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.9.0.0/16", gw: "10.1.0.9", mtu: 1400 }],
      dns: { nameservers: ["10.1.0.1"] },
    });
  });

  it("takes ranges from the runtime, then the old single range, then the config's sets", () => {
    const given = { conf: { runtimeConfig: { ipRanges: [[{ subnet: "10.3.0.0/24" }]] } } };
    expect(ips({ ...SUBNET, ranges: [[{ subnet: "10.2.0.0/24" }], [{ subnet: "fd00::/64" }]] }, given)).toEqual([
      "10.3.0.2",
      "10.1.0.2",
      "10.2.0.2",
      "fd00::2",
    ]);
    const last = (set: number) => readFileSync(join(dataDir, "front", `last_reserved_ip.${set}`), "utf8");
    expect([0, 1, 2, 3].map(last)).toEqual(["10.3.0.2", "10.1.0.2", "10.2.0.2", "fd00::2"]);
  });

  it("takes the old keys of a single range", () => {
    const ipam = { subnet: "10.1.0.0/24", rangeStart: "10.1.0.20", rangeEnd: "10.1.0.21", gateway: "10.1.0.20" };
    expect(add(ipam)).toMatchObject({ ips: [{ address: "10.1.0.21/24", gateway: "10.1.0.20" }] });
  });

  it("gives what is asked for by CNI_ARGS, by args.cni.ips and by the capability", () => {
    expect(ips(SUBNET, { id: "a", args: "IgnoreUnknown=1;K8S_POD_NAME=x;IP=10.1.0.50" })).toEqual(["10.1.0.50"]);
    expect(ips(SUBNET, { id: "b", conf: { args: { cni: { ips: ["10.1.0.51"] } } } })).toEqual(["10.1.0.51"]);
    expect(ips(SUBNET, { id: "c", conf: { runtimeConfig: { ips: ["10.1.0.52/16"] } } })).toEqual(["10.1.0.52"]);
  });

  it.each<readonly [string, object | undefined, Given]>([
    ["IPAM config missing 'ipam' key", undefined, {}],
    ["no IP ranges specified", {}, {}],
    ["no IP ranges specified", { ranges: [] }, {}],
    ["ipam.ranges[0][0] needs a subnet", { ranges: [[{}]] }, {}],
    ["invalid range set 0: empty range set", { ranges: [[]] }, {}],
    ["ipam.ranges[0][0].subnet: invalid CIDR address", { ranges: [[{ subnet: "10.1.0.0" }]] }, {}],
    ["ipam.ranges[0] must be a list of ranges", { ranges: [{}] }, {}],
    ["cannot understand requested ip", SUBNET, { args: "IP=10.1.0" }],
    ['ARGS: unknown args ["FOO=bar"]', SUBNET, { args: "FOO=bar" }],
    ["resolvConf: no file /nowhere", { ...SUBNET, resolvConf: "/nowhere" }, {}],
    ["ipam.routes[0].dst is missing", { ...SUBNET, routes: [{}] }, {}],
    [
      "CNI version 0.2.0 does not support more than 1 address per family",
      { ranges: [[SUBNET], [{ subnet: "10.2.0.0/24" }]] },
      { version: "0.2.0" },
    ],
  ])("is refused before anything is reserved: %s", (message, ipam, given) => {
    expect(() => add(ipam, given)).toThrow(message);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  it("of any ipam section gives an address or an error with a code", () => {
    const text = fc.oneof(
      fc.constantFrom("10.1.0.0/24", "10.1.0.9", "fd00::/64", "fd00::9", "", "10.1.0.0/33"),
      fc.string(),
    );
    const range = fc.record({ subnet: text, rangeStart: text, rangeEnd: text, gateway: text }, { requiredKeys: [] });
    const ipam = fc.record(
      {
        subnet: fc.oneof(text, fc.jsonValue()),
        gateway: fc.oneof(text, fc.jsonValue()),
        ranges: fc.oneof(fc.array(fc.array(range, { maxLength: 2 }), { maxLength: 3 }), fc.jsonValue()),
        routes: fc.oneof(fc.array(fc.record({ dst: text, gw: text })), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const asked = fc.oneof(fc.array(text, { maxLength: 2 }), fc.jsonValue());
    fc.assert(
      fc.property(ipam, asked, fc.constantFrom(...CNI_VERSIONS), (section, wanted, version) => {
        try {
          add({ ...section, dataDir }, { version, conf: { runtimeConfig: { ips: wanted, ipRanges: null } } });
          hostLocal.del(call("DEL", {}));
        } catch (error) {
          expect(error).toMatchObject({ name: "TsnetError" });
        }
      }),
    );
  });

  it("below 0.3.0 gives one address of each family", () => {
    expect(ips({ ranges: [[SUBNET], [{ subnet: "fd00::/64" }]] }, { version: "0.2.0" })).toEqual([
      "10.1.0.2",
      "fd00::2",
    ]);
  });
});

describe("DEL", () => {
  it("frees what the interface has and nothing else, again and again", () => {
    for (const given of [{ id: "a" }, { id: "a", ifname: "eth1" }, { id: "b" }])
      add({ ranges: [[SUBNET], [{ subnet: "fd00::/64" }]] }, given);
    hostLocal.del(call("DEL", SUBNET, { id: "a" }));
    hostLocal.del(call("DEL", SUBNET, { id: "a" }));
    hostLocal.del(call("DEL", SUBNET, { id: "nobody" }));
    expect(names()).toEqual(["10.1.0.3", "10.1.0.4", "fd00::3", "fd00::4"]);
  });

  it("frees a file of an old version, that has no interface, if there is no other", () => {
    add(SUBNET);
    put("10.1.0.50", "web");
    hostLocal.del(call("DEL", SUBNET));
    expect(names()).toEqual(["10.1.0.50"]);
    hostLocal.del(call("DEL", SUBNET));
    expect(names()).toEqual([]);
  });

  it("needs neither the ranges nor a store", () => {
    hostLocal.del(call("DEL", {}));
    expect(readdirSync(dataDir)).toEqual([]);
    add(SUBNET);
    hostLocal.del(call("DEL", { subnet: "10.9.0.0/31", ranges: 5 }, { args: "none" }));
    expect(names()).toEqual([]);
  });
});

describe("CHECK", () => {
  it("finds the address, or says that there is none", () => {
    expect(() => hostLocal.check(call("CHECK", SUBNET))).toThrow(
      "host-local: Failed to find address added by container web",
    );
    add(SUBNET);
    const prevResult = { ips: [{ address: "10.1.0.2/24" }, { address: "10.200.0.1/24" }] };
    expect(() => hostLocal.check(call("CHECK", SUBNET, { prevResult }))).not.toThrow();
  });

  it("finds an address that is reserved for somebody else by now", () => {
    add(SUBNET);
    add(SUBNET, { id: "other" });
    const prevResult = { ips: [{ address: "10.1.0.3/24" }] };
    expect(() => hostLocal.check(call("CHECK", SUBNET, { prevResult }))).toThrow(
      expect.objectContaining({
        code: "check-failed",
        message: "host-local: 10.1.0.3 is not reserved for container web",
      }),
    );
  });
});

describe("cni row 1: GC", () => {
  const gc = (valid?: readonly object[], given: Given = {}) =>
    hostLocal.gc(call("GC", {}, { ...given, conf: valid === undefined ? {} : { "cni.dev/valid-attachments": valid } }));

  it("frees what no valid attachment has, in this network only", () => {
    for (const id of ["a", "b", "c"]) add(SUBNET, { id });
    add(SUBNET, { id: "a", name: "back" });
    gc([
      { containerID: "b", ifname: "eth0" },
      { containerID: "c", ifname: "eth1" },
    ]);
    expect(names()).toEqual(["10.1.0.3"]);
    expect(names("back")).toEqual(["10.1.0.2"]);
  });

  it("frees everything with an empty list, and nothing without one", () => {
    add(SUBNET);
    gc();
    expect(names()).toEqual(["10.1.0.2"]);
    gc([]);
    expect(names()).toEqual([]);
    gc([], { name: "never-used" });
  });

  it("frees what a crash left empty, and its temporary files", () => {
    add(SUBNET);
    put("10.1.0.50", "");
    put(".1-0a1b2c3d.tmp", "half");
    gc([{ containerID: "web", ifname: "eth0" }]);
    expect(readdirSync(join(dataDir, "front")).sort()).toEqual(["10.1.0.2", "last_reserved_ip.0", "lock"]);
  });

  it("containers row 33: leaves a reservation made by hand, and frees a lone word only if it is older than the boot", () => {
    add(SUBNET);
    for (const name of ["10.1.0.50", "10.1.0.51", "10.1.0.52"])
      put(name, name.endsWith("50") ? "the printer's" : "printer");
    put("10.1.0.53", "b");
    for (const name of ["10.1.0.50", "10.1.0.52", "10.1.0.53"]) age(name);
    gc([{ containerID: "b", ifname: "eth0" }]);
    expect(names()).toEqual(["10.1.0.50", "10.1.0.51", "10.1.0.53"]);
  });
});

describe("cni row 3: STATUS", () => {
  const status = (ipam: object, given?: Given) => hostLocal.status(call("STATUS", ipam, given));

  it("fails when a pool is used up, and says who holds what", () => {
    const ipam = { subnet: "10.1.0.0/30" };
    expect(() => status(ipam)).not.toThrow();
    add(ipam);
    expect(() => status(ipam)).toThrow(
      expect.objectContaining({
        code: "exhausted",
        message: "no IP addresses available in range set: 10.1.0.1-10.1.0.2",
        details: "10.1.0.2 is held by web eth0",
      }),
    );
  });

  it("is fine where the ranges come with each ADD", () => {
    expect(() => status({})).not.toThrow();
  });

  it("fails with a config that ADD would refuse", () => {
    expect(() => status({ subnet: "10.1.0.0/31" })).toThrow("too small to allocate from");
  });
});
