/**
 * Ours in the place of the real kube-proxy, and back: connections live through, new ones follow the newest endpoints at
 * each step, and nothing of the former is left.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROJECT } from "../e2e/host.ts";
import { shortly, tally } from "../e2e/proxy/prober.ts";
import { ADDRESSES, type Pod, type World } from "../e2e/proxy/world.ts";
import { eventually } from "../e2e/standalone.ts";
import { type Cluster, manifestsOf, startCluster } from "./cluster.ts";
import type { Daemon } from "./daemon.ts";
import { rulesOf } from "./dump.ts";
import { Marker } from "./marker.ts";
import { endpointOf, FAMILIES, service, slice } from "./objects.ts";
import { addWorld, addWorldNode, MODES, type Mode, type Program, startProxy } from "./proxies.ts";

const VIP = { 4: "10.96.3.1", 6: "fd00:10:96::3:1" } as const;
const PORTS = [{ name: "web", port: 80, nodePort: 30080 }];

let cluster: Cluster;
let marker: Marker;
beforeAll(async () => {
  cluster = await startCluster();
  await addWorldNode(cluster);
  marker = await Marker.create(cluster);
  const spec = { type: "NodePort" };
  await cluster.api.create(service("web", [VIP[4], VIP[6]], PORTS, spec));
  for (const family of FAMILIES) await cluster.api.create(slice("web", family, [{ pod: "local1" }], PORTS));
  // Clients that stay, addresses that some may use, and nobody behind them.
  const sticky = { sessionAffinity: "ClientIP", type: "LoadBalancer", loadBalancerSourceRanges: ["203.0.113.0/24"] };
  const ingress = { loadBalancer: { ingress: [{ ip: "198.51.101.9" }] } };
  await cluster.api.createWithStatus(service("sticky", ["10.96.3.2"], PORTS_OF_STICKY, sticky, ingress));
  await cluster.api.create(slice("sticky", 4, [{ pod: "local1" }, { pod: "remote1" }], PORTS_OF_STICKY));
  await cluster.api.create(service("nobody", ["10.96.3.3", "fd00:10:96::3:3"], [{ port: 80 }]));
});
afterAll(async () => await cluster.stop());

const PORTS_OF_STICKY = [{ port: 80, nodePort: 30090 }];

const WAYS = MODES.flatMap((theirs) => MODES.map((ours) => ({ theirs, ours })));

test.each(WAYS)("from kube-proxy in $theirs mode to ours in $ours mode, and back", async ({ theirs, ours }) => {
  const world = await addWorld(cluster, `sw-${theirs}-${ours}-`);
  await endpoint("local1");
  const first = await begin(world, "kube-proxy", theirs);
  const lived = await connections(world);

  await first.stop("TERM");
  await endpoint("remote1");
  const second = await begin(world, "tsnet", ours);
  await follows(world, "remote1");
  for (const connection of lived) expect(await connection.say("still here")).toBe("still here");
  await nothingIsLeft(world, "tsnet", ours);

  await second.stop("TERM");
  await endpoint("local2");
  const third = await startProxy(cluster, { program: "kube-proxy", mode: theirs, world });
  await cleanUp(world);
  await marker.passed([world], [third]);
  await follows(world, "local2");
  for (const connection of lived) expect(await connection.say("and still")).toBe("and still");
  await nothingIsLeft(world, "kube-proxy", theirs);
  await third.stop();
  await world.prober.stop();
});

async function begin(world: World, program: Program, mode: Mode): Promise<Daemon> {
  const proxy = await startProxy(cluster, { program, mode, world });
  await marker.passed([world], [proxy]);
  return proxy;
}

/** What examples/kubernetes/cleanup.yaml runs on a node: it waits for the real kube-proxy, and takes away what is ours. */
async function cleanUp(world: World): Promise<void> {
  const [daemonSet] = await manifestsOf(`${PROJECT}/examples/kubernetes/cleanup.yaml`);
  const path = `PATH=${PROJECT}/dist:${process.env.PATH ?? ""}`;
  const entered = ["ip", "netns", "exec", world.netns("node"), "env", path];
  await cluster.host.ok([...entered, ...commandIn(daemonSet?.spec)]);
}

/** The first command that stands anywhere in a manifest. */
function commandIn(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  if ("command" in value && Array.isArray(value.command)) return value.command.map(String);
  const nested = [...("initContainers" in value ? [value.initContainers] : []), ...Object.values(value)];
  return nested.map(commandIn).find((command) => command.length > 0) ?? [];
}

/** Makes one pod all that is behind the Service. */
async function endpoint(pod: Pod): Promise<void> {
  for (const family of FAMILIES) {
    await cluster.api.patch(slice("web", family, [], []), { endpoints: [endpointOf({ pod }, family)] });
  }
}

function connections({ prober, netns }: World) {
  return Promise.all(
    FAMILIES.flatMap((family) => [
      prober.open(netns("local2"), { protocol: "tcp", address: VIP[family], port: 80 }),
      prober.open(netns("external"), { protocol: "tcp", address: ADDRESSES.node[family], port: 30080 }),
    ]),
  );
}

async function follows({ prober, netns }: World, pod: Pod): Promise<void> {
  for (const family of FAMILIES) {
    const answers = await prober.askAll(
      [
        { netns: netns("node"), protocol: "tcp", address: VIP[family], port: 80 },
        { netns: netns("remote2"), protocol: "tcp", address: VIP[family], port: 80 },
        { netns: netns("external"), protocol: "tcp", address: ADDRESSES.node[family], port: 30080 },
      ],
      10,
    );
    const servers = tally(answers, (answer) => ("server" in answer ? answer.server : shortly(answer)));
    expect(servers).toEqual(new Map([[pod, 30]]));
  }
}

/** The rules are those that the same proxy writes on a node that never had another. */
async function nothingIsLeft(world: World, program: Program, mode: Mode): Promise<void> {
  const fresh = await addWorld(cluster, `fresh${counter++}-`);
  const proxy = await startProxy(cluster, { program, mode, world: fresh });
  await marker.passed([fresh, world], [proxy]);
  const wanted = without(INVALID, await rulesOf(fresh));
  const rules = async () => without(INVALID, await rulesOf(world));
  await eventually(async () => (await rules()).join() === wanted.join(), "what the former left is gone").catch(
    () => {},
  );
  expect(await rules()).toEqual(wanted);
  await proxy.stop();
  await fresh.prober.stop();
}

let counter = 0;

// kube-proxy leaves this one out where it finds nf_conntrack_tcp_be_liberal on, which is how ours leaves it.
const INVALID = /--ctstate INVALID|ct state invalid/;

function without(what: RegExp, rules: readonly string[]): readonly string[] {
  return rules.filter((each) => !what.test(each));
}
