import { expect, test } from "vitest";
import type { CniIp } from "../../../lib/cni/types.ts";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { describeRoute, type Route, type RouteSpec } from "../../../lib/netlink/route.ts";
import { describeRule, type Rule } from "../../../lib/netlink/rule.ts";
import type { SbrConfig } from "../../../plugins/sbr/config.ts";
import { planRouting } from "../../../plugins/sbr/plan.ts";

const OURS: SbrConfig = { table: undefined, gateways: [], addSourceHints: false };

function ip(address: string, gateway?: string): CniIp {
  return { address: parseCidr(address), ...(gateway === undefined ? {} : { gateway: parseAddress(gateway) }) };
}

/** A route of link 7 in the main table unless told otherwise; with a source it is one that the kernel set. */
function route(dst: string, gateway?: string, more: Partial<Route> & { from?: string } = {}): Route {
  const cidr = parseCidr(dst);
  const { family } = cidr.address;
  const { from, ...rest } = more;
  return {
    ...{ family, dst: cidr, dev: 7, table: 254, protocol: 3, scope: 0, type: 1 },
    ...(gateway === undefined ? {} : { gateway: parseAddress(gateway) }),
    ...(from === undefined ? {} : { src: parseAddress(from) }),
    ...rest,
  };
}

function rule(table: number): Rule {
  return { family: 4, src: undefined, table, priority: 1, protocol: 0, isConditional: false };
}

const inTable = (spec: RouteSpec): string =>
  `${describeRoute(spec)}${spec.src ? ` from ${formatAddress(spec.src)}` : ""} table ${spec.table ?? 254}`;

function plan(
  ips: readonly CniIp[],
  routes: readonly Route[],
  more: { config?: Partial<SbrConfig>; rules?: readonly Rule[] } = {},
) {
  const { rules, add, remove } = planRouting(
    { ...OURS, ...more.config },
    { index: 7, ips },
    { rules: more.rules ?? [], routes },
  );
  return { rules: rules.map(describeRule), add: add.map(inTable), remove: remove.map(inTable) };
}

const NET = route("192.168.1.0/24", undefined, { from: "192.168.1.209", scope: 253, protocol: 2 });

test("the documentation's example", () => {
  expect(plan([ip("192.168.1.209/24", "192.168.1.1")], [NET])).toEqual({
    rules: ["from 192.168.1.209/32 lookup 100"],
    add: ["192.168.1.0/24 from 192.168.1.209 table 100", "0.0.0.0/0 via 192.168.1.1 table 100"],
    remove: ["192.168.1.0/24 from 192.168.1.209 table 254"],
  });
});

test("each address takes what is its own: its family's, by its subnet, and what names neither source nor gateway", () => {
  const routes = [
    NET,
    route("10.0.0.0/8", "192.168.1.9"),
    route("10.7.0.0/16", "172.16.0.1"),
    route("10.8.0.0/16"),
    route("10.9.0.0/16", undefined, { dev: 8 }),
    route("10.10.0.0/16", undefined, { table: 200 }),
    route("10.11.0.0/16", undefined, { type: 6 }),
    route("fd01::/64"),
    route("fe80::/64"),
  ];
  const { add, remove } = plan([ip("192.168.1.209/24"), ip("172.16.0.5/24"), ip("fd01::5/64")], routes);
  expect(add).toEqual([
    "192.168.1.0/24 from 192.168.1.209 table 100",
    "10.8.0.0/16 table 100",
    "10.0.0.0/8 via 192.168.1.9 table 100",
    "10.8.0.0/16 table 101",
    "10.7.0.0/16 via 172.16.0.1 table 101",
    "fd01::/64 table 102",
    "fe80::/64 table 102",
  ]);
  // Gateways first, and link-local addresses stay.
  expect(remove).toEqual([
    "10.7.0.0/16 via 172.16.0.1 table 254",
    "10.0.0.0/8 via 192.168.1.9 table 254",
    "fd01::/64 table 254",
    "10.8.0.0/16 table 254",
    "192.168.1.0/24 from 192.168.1.209 table 254",
  ]);
});

test("a default route of the main table goes along in place of the result's gateway", () => {
  const routes = [NET, route("0.0.0.0/0", "192.168.1.2")];
  expect(plan([ip("192.168.1.209/24", "192.168.1.1")], routes).add).toEqual([
    "192.168.1.0/24 from 192.168.1.209 table 100",
    "0.0.0.0/0 via 192.168.1.2 table 100",
  ]);
});

test("one with another metric goes along beside it", () => {
  const routes = [NET, route("0.0.0.0/0", "192.168.1.2", { priority: 50 })];
  expect(plan([ip("192.168.1.209/24", "192.168.1.1")], routes).add.slice(1)).toEqual([
    "0.0.0.0/0 via 192.168.1.2 table 100",
    "0.0.0.0/0 via 192.168.1.1 table 100",
  ]);
});

test("gateways of the config come before both", () => {
  const routes = [NET, route("0.0.0.0/0", "192.168.1.2")];
  const config = { gateways: [parseAddress("192.168.1.254"), parseAddress("fd01::1")] };
  expect(plan([ip("192.168.1.209/24", "192.168.1.1")], routes, { config }).add.slice(1)).toEqual([
    "0.0.0.0/0 via 192.168.1.254 table 100",
  ]);
});

test("with addSourceHints a way to the subnet stays or is made, in the main table", () => {
  const routes = [NET, route("fd01::/64", undefined, { priority: 256 }), route("10.0.0.0/8", "192.168.1.9")];
  const { add, remove } = plan([ip("192.168.1.209/24"), ip("fd01::5/64")], routes, {
    config: { addSourceHints: true },
  });
  expect(add.filter((one) => one.endsWith("254"))).toEqual(["fd01::/64 from fd01::5 table 254"]);
  expect(remove).toEqual(["10.0.0.0/8 via 192.168.1.9 table 254", "fd01::/64 table 254"]);
});

test("tables that rules or routes have, and those of the kernel, are passed over", () => {
  const taken = [rule(100), rule(102)];
  const routes = [route("10.0.0.0/8", undefined, { table: 103, dev: 9 })];
  const { rules } = plan([ip("10.1.0.5/24"), ip("10.2.0.5/24")], routes, { rules: taken });
  expect(rules).toEqual(["from 10.1.0.5/32 lookup 101", "from 10.2.0.5/32 lookup 104"]);
  const most = Array.from({ length: 153 }, (_, i) => rule(100 + i));
  expect(plan([ip("10.1.0.5/24")], [], { rules: most }).rules).toEqual(["from 10.1.0.5/32 lookup 256"]);
});

test("with a table of the config's there are rules alone", () => {
  const wanted = plan([ip("10.1.0.5/24", "10.1.0.1"), ip("fd01::5/64")], [NET], { config: { table: 77 } });
  expect(wanted).toEqual({ rules: ["from 10.1.0.5/32 lookup 77", "from fd01::5/128 lookup 77"], add: [], remove: [] });
});
