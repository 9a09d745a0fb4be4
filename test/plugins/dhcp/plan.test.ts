import { expect, it } from "vitest";
import { encodeResult } from "../../../lib/cni/versions.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { resultOf } from "../../../plugins/dhcp/plan.ts";

const ROUTER = { 3: "0a0000010a000002" };
const CLASSLESS = "18c000020a000009" + "20c000020500000000";

/** The result as it is printed. */
function printed(options: Readonly<Record<number, string>>, more: { priority?: number; mtu?: number } = {}): unknown {
  const held = {
    attachment: { network: "lan", containerId: "c1", ifname: "eth0" },
    address: parseCidr("10.0.0.5/24"),
    server: parseAddress("10.0.0.1"),
    options: new Map(Object.entries(options).map(([code, hex]) => [Number(code), Buffer.from(hex, "hex")])),
    mtu: more.mtu ?? 1500,
  };
  return encodeResult(resultOf(held, { priority: more.priority }), "1.1.0");
}

const IPS = [{ address: "10.0.0.5/24", gateway: "10.0.0.1" }];
const DEFAULT = { dst: "0.0.0.0/0", gw: "10.0.0.1" };

it.each([
  ["the address alone", {}, { ips: [{ address: "10.0.0.5/24" }] }],
  ["the first router as gateway and default route", ROUTER, { ips: IPS, routes: [DEFAULT] }],
  [
    "static routes before it",
    { ...ROUTER, 33: "c00002000a000008" },
    { ips: IPS, routes: [{ dst: "192.0.2.0/24", gw: "10.0.0.8" }, DEFAULT] },
  ],
  [
    "classless routes in place of both, those without a router on the link",
    { ...ROUTER, 33: "c00002000a000008", 121: CLASSLESS, 249: "000a000007" },
    {
      ips: IPS,
      routes: [
        { dst: "192.0.2.0/24", gw: "10.0.0.9" },
        { dst: "192.0.2.5/32", scope: 253 },
      ],
    },
  ],
  [
    "Microsoft's classless routes where there are no others",
    { ...ROUTER, 249: "000a000007" },
    { ips: IPS, routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.7" }] },
  ],
  ["the static ones where the classless ones make no sense", { ...ROUTER, 121: "ff" }, { ips: IPS, routes: [DEFAULT] }],
  [
    "name servers, domain and search list",
    { 6: "0a0000350a000036", 15: Buffer.from("a.test").toString("hex"), 119: "01620161047465737400" },
    {
      ips: [{ address: "10.0.0.5/24" }],
      dns: { nameservers: ["10.0.0.53", "10.0.0.54"], domain: "a.test", search: ["b.a.test"] },
    },
  ],
])("gives %s", (_, options, result) => {
  expect(printed(options)).toEqual({ cniVersion: "1.1.0", ...result });
});

it("gives every route the config's metric", () => {
  expect(printed({ ...ROUTER, 33: "c00002000a000008" }, { priority: 7 })).toMatchObject({
    routes: [{ priority: 7 }, { ...DEFAULT, priority: 7 }],
  });
});

it.each([
  ["0578", 1500, [{ ...DEFAULT, mtu: 1400 }]],
  ["05dc", 1500, [DEFAULT]],
  ["2328", 1500, [DEFAULT]],
  ["0010", 1500, [DEFAULT]],
])("gives the routes the server's MTU %s where the link's %s is more", (mtu, link, routes) => {
  expect(printed({ ...ROUTER, 26: mtu }, { mtu: link })).toMatchObject({ routes });
});
