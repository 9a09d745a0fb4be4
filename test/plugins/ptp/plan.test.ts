import { describe, expect, test } from "vitest";
import type { CniIp, CniResult } from "../../../lib/cni/types.ts";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { type Plan, planAddresses } from "../../../plugins/ptp/plan.ts";

function ip(address: string, gateway?: string): CniIp {
  return { address: parseCidr(address), ...(gateway === undefined ? {} : { gateway: parseAddress(gateway) }) };
}

function route(dst: string, gw?: string) {
  return { dst: parseCidr(dst), ...(gw === undefined ? {} : { gw: parseAddress(gw) }) };
}

function plan(ips: readonly CniIp[], routes: CniResult["routes"] = []): Plan {
  return planAddresses("host-local", { interfaces: [], ips, routes, dns: {} }, undefined);
}

/** `DST [via GATEWAY] [from SOURCE]`, in order. */
const routesOf = ({ containerRoutes }: Plan): readonly string[] =>
  containerRoutes.map(
    ({ dst, gw, src }) =>
      formatCidr(dst) + (gw ? ` via ${formatAddress(gw)}` : "") + (src ? ` from ${formatAddress(src)}` : ""),
  );

test("the gateway is on the link, the subnet behind it, and what IPAM routes behind that", () => {
  const { gateways, hostRoutes, ...rest } = plan(
    [ip("10.1.0.5/24", "10.1.0.1")],
    [route("0.0.0.0/0"), route("10.9.0.0/16", "10.1.0.9")],
  );
  expect(routesOf({ gateways, hostRoutes, ...rest })).toEqual([
    "10.1.0.1/32 from 10.1.0.5",
    "10.1.0.0/24 via 10.1.0.1 from 10.1.0.5",
    "0.0.0.0/0 via 10.1.0.1",
    "10.9.0.0/16 via 10.1.0.9",
  ]);
  expect(gateways.map(formatCidr)).toEqual(["10.1.0.1/32"]);
  expect(hostRoutes.map(formatCidr)).toEqual(["10.1.0.5/32"]);
});

test("two addresses behind one gateway share it, and their subnet's route", () => {
  const both = plan([ip("10.1.0.5/24", "10.1.0.1"), ip("10.1.0.6/24", "10.1.0.1")]);
  expect(both.gateways.map(formatCidr)).toEqual(["10.1.0.1/32"]);
  expect(both.hostRoutes.map(formatCidr)).toEqual(["10.1.0.5/32", "10.1.0.6/32"]);
  expect(routesOf(both)).toEqual(["10.1.0.1/32 from 10.1.0.5", "10.1.0.0/24 via 10.1.0.1 from 10.1.0.5"]);
});

test("an address alone has no subnet to lead anywhere", () => {
  expect(routesOf(plan([ip("10.1.0.5/32", "169.254.1.1"), ip("fd01::5/128", "fe80::1")]))).toEqual([
    "169.254.1.1/32 from 10.1.0.5",
    "fe80::1/128 from fd01::5",
  ]);
});

test("a route of IPAM's to the own subnet is not laid on the link", () => {
  const own = plan([ip("10.1.0.5/24", "10.1.0.1")], [route("10.1.0.0/24"), { ...route("10.1.0.0/24"), table: 7 }]);
  expect(routesOf(own).slice(2)).toEqual(["10.1.0.0/24"]);
  expect(own.routes.length).toBe(2);
});

test("the subnet's first address is the gateway where IPAM names none", () => {
  expect(plan([ip("10.1.0.5/24")]).ips[0]?.gateway).toEqual(parseAddress("10.1.0.1"));
  expect(plan([ip("fd01::5/64")]).ips[0]).toMatchObject({ gateway: parseAddress("fd01::1"), interface: 1 });
});

describe("refused is", () => {
  test.each([
    ["no address", [], "returned missing IP config"],
    ["the gateway's own address", [ip("10.1.0.1/24")], "gave 10.1.0.1/24 no gateway"],
    ["a gateway of the other family", [ip("10.1.0.5/24", "fd00::1")], "gave 10.1.0.5/24 the gateway fd00::1"],
    ["an address alone without a gateway", [ip("10.1.0.5/32")], "gave 10.1.0.5/32 no gateway"],
    ["an address that is its gateway", [ip("10.1.0.5/24", "10.1.0.5")], "gave 10.1.0.5/24 the gateway 10.1.0.5"],
  ])("%s", (_, ips, message) => {
    expect(() => plan(ips)).toThrow(message);
  });
});
