import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import { parseConfig, type TuningConfig } from "../../../plugins/tuning/config.ts";
import { refuseRepeated } from "../../../plugins/tuning/repeated.ts";
import { sameValue, sysctlFile } from "../../../plugins/tuning/sysctl.ts";

function parse(conf: object | string, args = ""): TuningConfig {
  const stdin =
    typeof conf === "string" ? conf : JSON.stringify({ cniVersion: "1.0.0", name: "net1", type: "tuning", ...conf });
  return parseConfig({
    command: "ADD",
    containerId: "c1",
    netns: "/run/netns/c1",
    ifname: "eth0",
    path: [],
    args,
    stdin,
    conf: parseNetConf(parseJsonObject(stdin, "config")),
    attachment: { network: "net1", containerId: "c1", ifname: "eth0" },
  });
}

const NOTHING = {
  dataDir: "/run/cni/tuning",
  sysctls: [],
  mac: undefined,
  promisc: false,
  mtu: undefined,
  allmulti: undefined,
  txQueueLength: undefined,
};

describe("tuning's config", () => {
  it("has the reference's defaults", () => {
    expect(parse({})).toEqual(NOTHING);
    expect(parse({ dataDir: "", mac: "", mtu: 0, promisc: false })).toEqual(NOTHING);
  });

  it("reads every key, without regard to case", () => {
    const conf = {
      DataDir: "/run/mine/",
      SysCtl: { "net.core.somaxconn": "500" },
      MAC: "0A-58-0A-01-00-05",
      promisc: true,
      Mtu: 1400,
      allMulti: false,
      txqlen: 0,
    };
    expect(parse(conf)).toEqual({
      dataDir: "/run/mine",
      sysctls: [{ key: "net.core.somaxconn", file: "net/core/somaxconn", value: "500" }],
      mac: "0a:58:0a:01:00:05",
      promisc: true,
      mtu: 1400,
      allmulti: false,
      txQueueLength: 0,
    });
  });

  it("takes the MAC of args.cni before runtimeConfig's, CNI_ARGS' and its own", () => {
    const mac = (last: number) => `02:00:00:00:00:0${last}`;
    const own = { mac: mac(1) };
    const args = `IgnoreUnknown=1;MAC=${mac(2)};K8S_POD_NAME=p`;
    const runtime = { ...own, runtimeConfig: { mac: mac(3) } };
    expect(parse(own).mac).toBe(mac(1));
    expect(parse(own, args).mac).toBe(mac(2));
    expect(parse(own, "MAC=").mac).toBe(mac(1));
    expect(parse(runtime, args).mac).toBe(mac(3));
    expect(parse({ ...runtime, args: { cni: { mac: mac(4) } } }, args).mac).toBe(mac(4));
    expect(parse({ ...runtime, args: { cni: { mac: "" } } }, args).mac).toBeUndefined();
  });

  it("takes each key of args.cni before its own, also one that takes a wish back", () => {
    const own = { promisc: true, mtu: 1400, allmulti: true, txQLen: 5, sysctl: { "net.a.b": "1", "net.a.c": "2" } };
    const cni = { promisc: false, mtu: 0, allmulti: false, txQLen: 7, sysctl: { "net/a/c": "3", "net.a.d": "4" } };
    expect(parse({ ...own, args: { cni } })).toMatchObject({
      promisc: false,
      mtu: undefined,
      allmulti: false,
      txQueueLength: 7,
      sysctls: [
        { key: "net.a.b", value: "1" },
        { key: "net/a/c", value: "3" },
        { key: "net.a.d", value: "4" },
      ],
    });
    expect(parse({ args: { cni: { sysctl: { "net.a.b": "1" } } } }).sysctls).toHaveLength(1);
    expect(parse({ ...own, args: { other: {} } })).toMatchObject({ mtu: 1400 });
  });

  it.each([
    ["a sysctl that is no text", { sysctl: { "net.a.b": 1 } }, 'sysctl["net.a.b"] must be a string, not 1'],
    ["a list for sysctls", { sysctl: ["net.a.b"] }, "must be an object"],
    ["a sysctl outside of net", { sysctl: { "kernel.panic": "1" } }, 'invalid net sysctl key: "kernel.panic"'],
    ["net alone", { sysctl: { net: "1" } }, 'invalid net sysctl key: "net"'],
    ["two spellings of one", { sysctl: { "net.a.b": "1", "net/a/b": "2" } }, "net.a.b and net/a/b are the same"],
    ["a MAC that is none", { mac: "02:00" }, "invalid args 02:00 for MAC addr (mac)"],
    ["a MAC of args.cni that is none", { args: { cni: { mac: "x" } } }, "invalid args x for MAC addr (args.cni.mac)"],
    ["a negative MTU", { mtu: -1 }, "mtu is -1, allowed are 0 to 4294967295"],
    ["a fraction of a packet", { txQLen: 1.5 }, "txQLen must be a whole number"],
    ["too long a queue", { args: { cni: { txQLen: 2 ** 32 } } }, "args.cni.txQLen is 4294967296"],
    ["promisc as text", { promisc: "yes" }, "promisc in config must be true or false"],
    ["a folder of nobody knows where", { dataDir: "run" }, 'dataDir is "run", wanted an absolute path'],
  ])("refuses %s", (_, conf, message) => {
    expect(() => parse(conf)).toThrow(message);
  });

  it.each([
    ["", '{"name":"n","sysctl":{"net.a.b":"1","net.c.d":"2","net.a.b":"3"}}'],
    [" in other words", '{"name":"n","SYSCTL":{"net.a.b":"1","net\\u002ea.b":"3"}}'],
    [" in two objects", '{"name":"n","sysctl":{"net.a.b":"1"},"sysctl":{"net.a.b":"3"}}'],
    [" in args.cni", '{"name":"n","args":{"x":[{}],"cni":{"sysctl":{"net.a.b":"1","net.a.b":"1"}}}}'],
  ])("refuses a key that stands there twice%s", (_, text) => {
    expect(() => parse(text)).toThrow(
      /^duplicated sysctl keys are not allowed: (args\.cni\.)?sysctl has net\.a\.b twice$/,
    );
  });

  it("refuses arguments that it does not know only where they are not to be ignored", () => {
    expect(() => parse({}, "FOO=1")).toThrow("unknown args");
    expect(parse({}, "FOO=1;IgnoreUnknown=true")).toEqual(NOTHING);
  });
});

describe("keys that stand twice", () => {
  it("are those of the object itself, not of others", () => {
    const text = '{"a":{"k":1,"x":{"k":2},"l":[{"k":1},{"k":2},"k","k"]},"b":{"k":3},"k":4,"s":"{\\"a\\":{\\"k\\""}';
    expect(() => refuseRepeated(text, ["a"])).not.toThrow();
    expect(() => refuseRepeated('{"b":{"a":{"k":1,"k":2}}}', ["a"])).not.toThrow();
    expect(() => refuseRepeated('{"a":{"k":"\\\\","k":2}}', ["a"])).toThrow("a has k twice");
  });

  it("are found in no text that a program wrote", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2), (value, space) => {
        refuseRepeated(JSON.stringify({ sysctl: value }, undefined, space), ["sysctl"]);
      }),
    );
  });

  it("are found wherever one was put twice", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (object) => {
        const text = JSON.stringify(object);
        const [key = ""] = Object.keys(object);
        const twice = `${text.slice(0, -1)},${JSON.stringify(key)}:0}`;
        expect(() => refuseRepeated(`{"sysctl":${text}}`, ["sysctl"])).not.toThrow();
        expect(() => refuseRepeated(`{"sysctl":${twice}}`, ["sysctl"])).toThrow("twice");
      }),
    );
  });
});

describe("sysctls", () => {
  it.each([
    ["net.core.somaxconn", "net/core/somaxconn"],
    ["net/core/somaxconn", "net/core/somaxconn"],
    ["net.ipv4.conf.IFNAME.arp_filter", "net/ipv4/conf/eth0.7/arp_filter"],
    ["net..ipv4./conf", "net/ipv4/conf"],
    ["net.ipv4.conf.IFNAME.IFNAME", "net/ipv4/conf/eth0.7/IFNAME"],
  ])("%s is %s", (key, file) => {
    expect(sysctlFile(key, "eth0.7")).toBe(file);
  });

  it("never lead out of net, whatever key and interface are called", () => {
    const part = fc.constantFrom("net", "..", ".", "/", "IFNAME", "ipv4", "\0", "kernel", "");
    fc.assert(
      fc.property(
        fc.array(part).map((parts) => parts.join("/")),
        fc.constantFrom("eth0", "...", "$&", "a.b"),
        (key, ifname) => {
          let file: string;
          try {
            file = sysctlFile(key, ifname);
          } catch {
            return;
          }
          expect(new URL(`file:///proc/sys/${file}`).pathname).toMatch(/^\/proc\/sys\/net\/./);
          expect(file).not.toContain("\0");
        },
      ),
    );
  });

  it.each([
    ["1", "1", true],
    ["1", "0", false],
    ["32768\t60999", "32768 60999", true],
    ["4096 16384  4194304", "4096 16384", false],
    ["7", "07", true],
    ["", "", true],
    ["cubic", "cubic", true],
    ["cubic", "reno", false],
  ])("that read %j are as wanted by %j: %s", (found, wanted, same) => {
    expect(sameValue(found, wanted)).toBe(same);
  });
});
