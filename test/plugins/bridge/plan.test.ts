import { describe, expect, test } from "vitest";
import type { CniRoute } from "../../../lib/cni/types.ts";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { routesToSet } from "../../../lib/plugin/routes.ts";
import type { BridgeConfig } from "../../../plugins/bridge/config.ts";
import { planAddresses } from "../../../plugins/bridge/plan.ts";

const CONFIG: BridgeConfig = {
  bridge: "br0",
  isGateway: true,
  isDefaultGateway: true,
  forceAddress: false,
  ipMasq: false,
  ipMasqBackend: undefined,
  mtu: undefined,
  hairpin: false,
  promisc: false,
  vlan: undefined,
  vlanTrunk: [],
  preserveDefaultVlan: false,
  macSpoofCheck: false,
  enableDad: false,
  disableContainerInterface: false,
  portIsolation: false,
  mac: undefined,
  ipamType: "static",
};

type RouteText = Omit<CniRoute, "dst" | "gw"> & { readonly dst: string; readonly gw?: string };

/** What goes into the table of a container at 10.11.0.5/24 whose IPAM gave `routes`. */
function set(...routes: readonly RouteText[]): readonly RouteText[] {
  const parsed = routes.map(({ dst, gw, ...rest }) => ({
    ...rest,
    dst: parseCidr(dst),
    ...(gw === undefined ? {} : { gw: parseAddress(gw) }),
  }));
  const ips = [{ address: parseCidr("10.11.0.5/24") }];
  const plan = planAddresses(CONFIG, { interfaces: [], ips, routes: parsed, dns: {} }, undefined);
  return routesToSet(plan.ips, plan.routes).map(({ dst, gw, ...rest }) => ({
    ...rest,
    dst: formatCidr(dst),
    ...(gw === undefined ? {} : { gw: formatAddress(gw) }),
  }));
}

const DEFAULT = { dst: "0.0.0.0/0", gw: "10.11.0.1" };

describe("the default route of isDefaultGateway", () => {
  test("is added where IPAM has none", () => expect(set()).toEqual([DEFAULT]));

  test("is IPAM's own once, however often it is there without a gateway", () =>
    expect(set({ dst: "0.0.0.0/0" }, { dst: "0.0.0.0/0" })).toEqual([DEFAULT]));

  test("keeps what IPAM's says beside the gateway", () =>
    expect(set({ dst: "0.0.0.0/0", priority: 50, mtu: 1400 })).toEqual([{ ...DEFAULT, priority: 50, mtu: 1400 }]));

  test("gives way to one that names a gateway, wherever that stands", () => {
    const named = { dst: "0.0.0.0/0", gw: "10.11.0.9" };
    expect(set({ dst: "0.0.0.0/0" }, named)).toEqual([named]);
    expect(set(named, { dst: "0.0.0.0/0" })).toEqual([named]);
  });

  test("is added beside one of another table", () => {
    const other = { dst: "0.0.0.0/0", gw: "10.11.0.9", table: 100 };
    expect(set(other)).toEqual([other, DEFAULT]);
  });
});

describe("a route without a gateway", () => {
  test("goes by the network's", () =>
    expect(set({ dst: "192.0.2.0/24" })).toEqual([{ dst: "192.0.2.0/24", gw: "10.11.0.1" }, DEFAULT]));

  test("stays on the link where it leads to the container's own subnet", () =>
    expect(set({ dst: "10.11.0.0/24" })).toEqual([{ dst: "10.11.0.0/24" }, DEFAULT]));

  test("stays on the link where its scope says so", () =>
    expect(set({ dst: "10.99.0.0/16", scope: 253 })).toEqual([{ dst: "10.99.0.0/16", scope: 253 }, DEFAULT]));
});
