/**
 * Changes of the iptables back end's chains while clients connect.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PortRules } from "../../../proxy/table/types.ts";
import { clusterIP, outside, port } from "../../proxy/iptables/tables.ts";
import { Caller, type TableJson, useVariant } from "./iptables-call.ts";
import { tally } from "./prober.ts";
import { ADDRESSES, POD_CIDRS, type ProxyWorld, proxyWorld, SERVICE_CIDRS } from "./world.ts";

const pods = (["local1", "remote1"] as const).map((pod) => ({
  address: ADDRESSES[pod][4],
  port: 8080,
  local: pod === "local1",
}));

/** Service `n`: its address and node port lie right beside the others'. */
function service(n: number): Record<string, readonly PortRules[]> {
  const frontends = [clusterIP(`10.96.3.${n}`), outside("nodePort", { port: 30000 + n })];
  return { [`x/${n}`]: [port(`x/${n}`, frontends, { endpoints: pods })] };
}

const services = (count: number) => Object.assign({}, ...Array.from({ length: count }, (_, n) => service(n + 1)));

function table(count: number): TableJson {
  const node = { podCIDRs: POD_CIDRS, addresses: [ADDRESSES.node[4]] };
  return { services: services(count), serviceCIDRs: SERVICE_CIDRS, node };
}

describe.each(["nft", "legacy"] as const)("iptables-%s", (variant) => {
  let world: ProxyWorld;
  let caller: Caller;
  beforeAll(async () => {
    world = await proxyWorld();
    await useVariant(world.host, variant);
    caller = await Caller.open(world.host);
  });
  afterAll(async () => {
    await caller.close();
    await world.destroy();
  });

  const chains = async () => {
    const save = await world.host.ok([`iptables-${variant}-save`, "-t", "nat"]);
    return save.match(/^:KUBE-SVC-(?:10\.|tcp-)\S+/gm) ?? [];
  };

  test("a chain that divides, and comes together again, costs no connection", async () => {
    const { prober } = world;
    await caller.call({ do: "replace", table: table(30) });
    expect(await chains()).toEqual([]);
    const asked = [
      { netns: "local2", protocol: "tcp", address: "10.96.3.7", port: 80 },
      { netns: "external", protocol: "tcp", address: "10.96.3.30", port: 80 },
      { netns: "external", protocol: "tcp", address: ADDRESSES.node[4], port: 30017 },
    ] as const;
    const meanwhile = prober.askAll(asked, 1500, 10);
    let most = 0;
    for (let round = 0; round < 3; round++) {
      for (let n = 31; n <= 70; n += 3) {
        await caller.call({ do: "update", services: { ...service(n), ...service(n + 1), ...service(n + 2) } });
        most = Math.max(most, (await chains()).length);
      }
      for (let n = 31; n <= 72; n += 6) {
        const gone = Array.from({ length: 6 }, (_, at) => [`x/${n + at}`, null] as const);
        await caller.call({ do: "update", services: Object.fromEntries(gone) });
      }
    }
    expect(most).toBeGreaterThan(3);
    expect(await chains()).toEqual([]);
    const answers = await meanwhile;
    const byServer = tally(answers, (answer) => ("server" in answer ? answer.server : answer.outcome));
    expect([...byServer.keys()].sort()).toEqual(["local1", "remote1"]);
  });

  test("writing everything anew costs no connection either", async () => {
    await caller.call({ do: "replace", table: table(60) });
    const question = { protocol: "tcp", address: "10.96.3.55", port: 80 } as const;
    const open = await world.prober.open("external", question);
    const meanwhile = world.prober.askOften("external", question, 1500);
    for (let round = 0; round < 8; round++) await caller.call({ do: "replace", table: table(60 + round) });
    expect(await open.say("still here")).toBe("still here");
    await open.shut();
    const byServer = tally(await meanwhile, (answer) => ("server" in answer ? answer.server : answer.outcome));
    expect([...byServer.keys()].sort()).toEqual(["local1", "remote1"]);
  });
});
