import { describe, expect, it } from "vitest";
import { parseConfig, parseSocket } from "../../../plugins/dhcp/config.ts";
import { callWith } from "./call.ts";

const parse = (ipam: object, args = "") => parseConfig(callWith({ ipam: { type: "dhcp", ...ipam } }, { args }));
const provided = (ipam: object, args = "") =>
  Object.fromEntries([...parse(ipam, args).provide].map(([code, value]) => [code, Buffer.from(value).toString()]));

describe("daemonSocketPath", () => {
  it("is a socket of our own unless the config says otherwise", () => {
    expect(parse({}).socket).toBe("/run/cni/tsnet-dhcp.sock");
    expect(parse({ daemonSocketPath: "" }).socket).toBe("/run/cni/tsnet-dhcp.sock");
    expect(parse({ daemonSocketPath: "/run/x.sock" }).socket).toBe("/run/x.sock");
    expect(parseSocket(callWith({}))).toBe("/run/cni/tsnet-dhcp.sock");
  });

  it("begins with a slash, and is a text", () => {
    expect(() => parse({ daemonSocketPath: "x.sock" })).toThrow('ipam.daemonSocketPath is "x.sock"');
    expect(() => parse({ daemonSocketPath: 5 })).toThrow("ipam.daemonSocketPath must be a string");
  });
});

describe("provide", () => {
  it("sends values by the option's name or number", () => {
    const provide = [
      { option: "host-name", value: "web" },
      { option: "vendor-class-identifier", value: "tsnet" },
      { option: "user-class", value: "u" },
      { option: "dhcp-client-identifier", value: "me" },
      { option: "81", value: "fqdn" },
      { option: 83, value: "number" },
    ];
    expect(provided({ provide })).toEqual({ 12: "web", 60: "tsnet", 77: "u", 61: "me", 81: "fqdn", 83: "number" });
  });

  it("takes a value of the caller's arguments, which comes before the config's own", () => {
    const args = "IgnoreUnknown=1;K8S_POD_NAME=pod=1;EMPTY=;";
    const pod = { option: "host-name", fromArg: "K8S_POD_NAME" };
    expect(provided({ provide: [pod] }, args)).toEqual({ 12: "pod=1" });
    expect(provided({ provide: [{ ...pod, value: "own" }] }, args)).toEqual({ 12: "pod=1" });
    expect(provided({ provide: [{ ...pod, value: "own" }] })).toEqual({ 12: "own" });
    expect(provided({ provide: [pod] })).toEqual({});
    expect(provided({ provide: [{ option: "host-name", fromArg: "EMPTY" }] }, args)).toEqual({});
  });

  it.each([
    [
      { option: "no-such", value: "x" },
      'ipam.provide[0].option is "no-such": known are 1 to 254, dhcp-client-identifier',
    ],
    [{ option: "0", value: "x" }, "known are 1 to 254"],
    [{ option: "255", value: "x" }, "known are 1 to 254"],
    [{ option: "256", value: "x" }, "known are 1 to 254"],
    [{ option: "constructor", value: "x" }, "known are 1 to 254"],
    [{ value: "x" }, 'option is ""'],
    [{ option: "53", value: "x" }, "ipam.provide[0].option is 53, which the DHCP client sets itself"],
    [{ option: "12", value: "x".repeat(256) }, "value too long for option"],
    [{ option: "12", value: "é".repeat(128) }, "256 bytes, allowed are 255"],
    [{ option: "12", value: 5 }, "ipam.provide[0].value must be a string"],
  ])("%j is refused", (entry, message) => {
    expect(() => parse({ provide: [entry] })).toThrow(message);
  });
});

describe("request", () => {
  it("asks for router, mask and name servers, and for what the config adds", () => {
    expect(parse({}).request).toEqual([3, 1, 6, 15, 119]);
    expect(parse({ request: [{ option: "121" }, { option: "routers" }] }).request).toEqual([121, 3, 1, 6, 15, 119]);
  });

  it("asks for what the config names alone, if any entry says so", () => {
    expect(parse({ request: [{ skipDefault: true, option: "subnet-mask" }, { option: "3" }] }).request).toEqual([1, 3]);
    expect(parse({ request: [{ skipDefault: true }] }).request).toEqual([]);
  });

  it("is refused for what is no option", () => {
    expect(() => parse({ request: [{ option: "dns" }] })).toThrow('ipam.request[0].option is "dns"');
    expect(() => parse({ request: [{ skipDefault: "yes" }] })).toThrow("skipDefault must be true or false");
  });
});

it("priority is a metric", () => {
  expect(parse({}).priority).toBeUndefined();
  expect(parse({ priority: 0 }).priority).toBeUndefined();
  expect(parse({ priority: 100 }).priority).toBe(100);
  expect(() => parse({ priority: -1 })).toThrow("ipam.priority is -1");
  expect(() => parse({ priority: 2 ** 32 })).toThrow("ipam.priority is 4294967296");
  expect(() => parse({ priority: 1.5 })).toThrow("whole number");
});

it("DEL reads no more than the socket", () => {
  const call = callWith({ ipam: { daemonSocketPath: "/run/x.sock", provide: [{ option: "no-such" }], priority: -1 } });
  expect(parseSocket(call)).toBe("/run/x.sock");
});
