import { describe, expect, it } from "vitest";
import { decodeDatagram } from "../../../lib/dhcp/datagram.ts";
import { decodeMessage } from "../../../lib/dhcp/message.ts";
import {
  addressesOption,
  addressOption,
  classlessRoutes,
  numberOption,
  OPTION,
  type Options,
  prefixOption,
  type ServerRoute,
  searchList,
  staticRoutes,
  textOption,
} from "../../../lib/dhcp/options.ts";
import { formatAddress } from "../../../lib/net/address.ts";
import { formatCidr } from "../../../lib/net/cidr.ts";
import { ACK } from "./captured.ts";

const of = (code: number, hex: string): Options => new Map([[code, Buffer.from(hex, "hex")]]);
const routeText = ({ to, via }: ServerRoute) => `${formatCidr(to)} ${via === undefined ? "link" : formatAddress(via)}`;

it("dnsmasq's answer is read option by option", () => {
  const options = decodeMessage(decodeDatagram(ACK)?.payload ?? new Uint8Array())?.options ?? new Map();
  expect(prefixOption(options)).toBe(24);
  expect(addressesOption(options, OPTION.router).map(formatAddress)).toEqual(["10.50.0.1"]);
  expect(addressesOption(options, OPTION.domainServer).map(formatAddress)).toEqual(["10.50.0.1", "10.50.0.2"]);
  expect(textOption(options, OPTION.domainName)).toBe("example.test");
  expect(searchList(options)).toEqual(["a.example.test", "b.example.test"]);
  expect(numberOption(options, OPTION.interfaceMtu, 2)).toBe(1400);
  expect(numberOption(options, OPTION.leaseTime, 4)).toBe(120);
  expect(staticRoutes(options).map(routeText)).toEqual(["198.51.100.0/24 10.50.0.8"]);
  expect(classlessRoutes(options, OPTION.classlessRoute).map(routeText)).toEqual([
    "192.0.2.0/24 10.50.0.9",
    "0.0.0.0/0 10.50.0.1",
  ]);
});

describe("a value of a wrong length", () => {
  it("counts as absent", () => {
    expect(addressOption(of(54, "0a0000"), 54)).toBeUndefined();
    expect(numberOption(of(51, "0a0000"), 51, 4)).toBeUndefined();
    expect(prefixOption(of(1, "ffffff"))).toBeUndefined();
    expect(addressesOption(of(3, "0a0000010a00"), 3).map(formatAddress)).toEqual(["10.0.0.1"]);
    expect(addressesOption(new Map(), 3)).toEqual([]);
    expect(textOption(new Map(), 15)).toBeUndefined();
  });
});

it.each([
  ["00000000", 0],
  ["80000000", 1],
  ["ffffff00", 24],
  ["ffffffff", 32],
  ["ff00ff00", undefined],
  ["00ffffff", undefined],
])("a mask of %s has a prefix of %s", (mask, prefix) => {
  expect(prefixOption(of(1, mask))).toBe(prefix);
});

it("text comes without the zeros that some servers end it with", () => {
  expect(textOption(of(15, "612e6200"), 15)).toBe("a.b");
  expect(textOption(of(15, "00"), 15)).toBeUndefined();
});

it("a static route has the mask of its class", () => {
  const routes = ["0a0102030a000001", "ac1001020a000001", "c00002010a000001", "e00000010a000001"].join("");
  expect(staticRoutes(of(33, routes)).map(routeText)).toEqual([
    "10.0.0.0/8 10.0.0.1",
    "172.16.0.0/16 10.0.0.1",
    "192.0.2.0/24 10.0.0.1",
    "224.0.0.1/32 10.0.0.1",
  ]);
});

describe("classless routes", () => {
  it("hold as many bytes of the destination as their prefix covers, and none of it beyond", () => {
    const bytes = "000a000001" + "080a0a000001" + "19c0000281" + "0a000001" + "20c0000205" + "00000000";
    expect(classlessRoutes(of(121, bytes), 121).map(routeText)).toEqual([
      "0.0.0.0/0 10.0.0.1",
      "10.0.0.0/8 10.0.0.1",
      "192.0.2.128/25 10.0.0.1",
      "192.0.2.5/32 link",
    ]);
  });

  it("that are cut off, or of an impossible prefix, are none", () => {
    expect(classlessRoutes(of(121, "180a000001"), 121)).toEqual([]);
    expect(classlessRoutes(of(121, "21c00002010a000001"), 121)).toEqual([]);
  });
});

describe("a search list", () => {
  const names = (hex: string) => searchList(of(119, hex));

  it("ends where it makes no sense", () => {
    expect(names("0161000162")).toEqual(["a"]);
    expect(names("016100c009")).toEqual(["a"]);
    expect(names("016100c003")).toEqual(["a"]);
    expect(names("01610041")).toEqual(["a"]);
    expect(names("00016200")).toEqual(["b"]);
    expect(names("c000")).toEqual([]);
  });
});
