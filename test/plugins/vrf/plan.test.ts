import { expect, test } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import type { Addr } from "../../../lib/netlink/addr.ts";
import { toBuffer } from "../../../lib/netlink/bytes.ts";
import { vrf } from "../../../lib/netlink/kinds.ts";
import { type Link, linkAdd, parseLink } from "../../../lib/netlink/link.ts";
import type { Route } from "../../../lib/netlink/route.ts";
import type { Rule } from "../../../lib/netlink/rule.ts";
import type { Request, RtSocket } from "../../../lib/netlink/socket.ts";
import { freeTable, missingAddresses, routesTo } from "../../../plugins/vrf/plan.ts";

const MAIN = 254;

/** A route of link 7 in the main table unless told otherwise. */
function route(dst: string, more: Partial<Route> = {}): Route {
  const cidr = parseCidr(dst);
  const { family } = cidr.address;
  return { family, dst: cidr, dev: 7, table: MAIN, protocol: 3, scope: 0, type: 1, ...more };
}

function addr(cidr: string, scope = 0): Addr {
  const flags = { tentative: false, dadFailed: false, deprecated: false, secondary: false };
  return { index: 7, cidr: parseCidr(cidr), scope, ...flags };
}

/** A link as the kernel would show it that was made with this table. */
function vrfLink(name: string, table: number): Link {
  let sent: Request | undefined;
  const socket = { change: (request: Request) => (sent = request) } as unknown as RtSocket;
  linkAdd(socket, { name, kind: vrf(table) });
  return parseLink(sent === undefined ? Buffer.alloc(16) : toBuffer(sent.body));
}

test("the first table is taken that no VRF, rule or route has", () => {
  expect(freeTable([], [], [])).toBe(1);
  expect(freeTable([vrfLink("blue", 1), vrfLink("red", 3)], [], [])).toBe(2);
  const rule: Rule = { family: 4, src: undefined, table: 2, priority: 1, protocol: 0, isConditional: false };
  expect(freeTable([vrfLink("blue", 1)], [rule], [route("10.0.0.0/8", { table: 3 })])).toBe(4);
  const most = Array.from({ length: 252 }, (_, i) => route("10.0.0.0/8", { table: i + 1 }));
  expect(freeTable([], [], most)).toBe(256);
});

test("IPv6 addresses that were lost come back, others not twice", () => {
  const before = [addr("10.1.0.5/24"), addr("fd01::5/64"), addr("fd02::5/64"), addr("fe80::1/64", 253)];
  const lost = missingAddresses(before, [addr("10.1.0.5/24"), addr("fd02::5/64")]);
  expect(lost).toEqual([addr("fd01::5/64")]);
  expect(missingAddresses(before, before)).toEqual([]);
});

test("the interface's own routes of the main table go along, those on the link first, and the kernel's stay its own", () => {
  const via = { gateway: parseAddress("10.1.0.1") };
  const moved = routesTo(
    10,
    [
      route("0.0.0.0/0", via),
      route("10.1.0.0/24", { protocol: 2, scope: 253 }),
      route("10.1.0.1/32", { scope: 253 }),
      route("10.2.0.0/16", { ...via, dev: 8 }),
      route("10.3.0.0/16", { ...via, table: 100 }),
      route("10.4.0.0/16", { type: 7 }),
      route("fd00::/8", { gateway: parseAddress("fd01::1"), priority: 1024 }),
    ],
    { index: 7 },
  );
  expect(moved).toEqual([
    { dst: parseCidr("10.1.0.1/32"), dev: 7, table: 10, protocol: 3, scope: 253, type: 1 },
    { dst: parseCidr("0.0.0.0/0"), dev: 7, table: 10, protocol: 3, scope: 0, type: 1, ...via },
    {
      ...{ dst: parseCidr("fd00::/8"), dev: 7, table: 10, protocol: 3, scope: 0, type: 1, priority: 1024 },
      gateway: parseAddress("fd01::1"),
    },
  ]);
});
