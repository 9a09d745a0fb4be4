/**
 * The nftables back end with packets, beneath what `tsnet proxy` can be told: cases.ts has all the rest.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PortRules } from "../../../proxy/table/types.ts";
import { BackendAgent, type PlainTable } from "../../proxy/nftables/agent.ts";
import { tally } from "./prober.ts";
import { ADDRESSES, counting, type Family, POD_CIDRS, type ProxyWorld, proxyWorld, SERVICE_CIDRS } from "./world.ts";

let world: ProxyWorld;
beforeAll(async () => {
  world = await proxyWorld();
});
afterAll(() => world.destroy());

const VIP = { 4: "10.96.0.10", 6: "fd00:10:96::10" } as const;
const OUTER = { 4: "198.51.100.10", 6: "2001:db8:51::10" } as const;

/** One service on a cluster IP and a load balancer's, with these pods. */
function serving(
  pods: readonly ("local1" | "local2" | "remote1")[],
  family: Family,
  affinitySeconds?: number,
): PlainTable {
  const endpoints = pods.map((pod) => ({ address: ADDRESSES[pod][family], port: 8080, local: pod !== "remote1" }));
  const frontend = { port: 80, policy: "Cluster", sourceRanges: undefined } as const;
  const rules: PortRules = {
    name: "shop/web",
    protocol: "tcp",
    frontends: [
      { ...frontend, kind: "clusterIP", address: VIP[family] },
      { ...frontend, kind: "loadBalancer", address: OUTER[family] },
    ],
    endpoints,
    local: [],
    served: endpoints.length > 0,
    affinitySeconds,
  };
  const own = (cidrs: readonly string[]) => cidrs.filter((cidr) => cidr.includes(":") === (family === 6));
  return {
    services: { "shop/web": [rules] },
    serviceCIDRs: own(SERVICE_CIDRS),
    node: { podCIDRs: own(POD_CIDRS), addresses: [ADDRESSES.node[family]] },
  };
}

describe.each([4, 6] as const)("IPv%i", (family) => {
  test.each([
    ["made anew", undefined],
    ["kept, as it has clients' endpoints", 60],
  ])("the whole table put in place again costs no connection (%s)", async (_, affinitySeconds) => {
    await using backend = BackendAgent.start(world.host, { family });
    await backend.replace(serving(["local1", "local2", "remote1"], family, affinitySeconds));
    const questions = [VIP, OUTER].map((address) => ({ protocol: "tcp", address: address[family], port: 80 }) as const);
    let replaced = 0;
    let asking = true;
    const replacing = (async () => {
      for (; asking; replaced++) {
        await using next = BackendAgent.start(world.host, { family });
        await next.replace(serving(["local1", "local2", "remote1"], family, affinitySeconds));
      }
    })();
    const from = (place: "local1" | "external") =>
      questions.map((question) => ({ netns: world.netns(place), ...question }));
    const answers = await world.prober.askAll([...from("local1"), ...from("external")], 1500, 20);
    asking = false;
    await replacing;
    expect([...tally(answers, ({ outcome }) => outcome).keys()]).toEqual(["answered"]);
    expect(replaced).toBeGreaterThan(1);
    await backend.remove();
  });

  test("from none to one endpoint and back, no packet goes on to the service's address", async () => {
    await using backend = BackendAgent.start(world.host, { family });
    await backend.replace(serving([], family));
    const ip = family === 4 ? "ip" : "ip6";
    const match = `${ip} daddr { ${VIP[family]}, ${OUTER[family]} }`;
    await using external = await counting(world, "external", family, match);
    await using peer = await counting(world, "peer", family, match);
    const questions = [VIP, OUTER].map((address) => ({ protocol: "tcp", address: address[family], port: 80 }) as const);
    const stop = await world.prober.flood(world.netns("local2"), questions);
    for (let round = 0; round < 1500; round++) {
      await backend.update(serving(round % 2 === 0 ? ["remote1"] : [], family));
    }
    expect(await stop()).toBeGreaterThan(100);
    expect([await external.packets(), await peer.packets()]).toEqual([0, 0]);
    await backend.remove();
  });
});
