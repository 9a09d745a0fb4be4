/**
 * What the daemon and the API server tell each other beside Services: the Node, and Events.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ADDRESSES, NODE_NAME, type World } from "../e2e/proxy/world.ts";
import { eventually } from "../e2e/standalone.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import type { Daemon } from "./daemon.ts";
import { service, slice } from "./objects.ts";
import { addWorld, addWorldNode, startProxy } from "./proxies.ts";

const WEB = "10.96.9.1";
const NODE = { apiVersion: "v1", kind: "Node", metadata: { name: NODE_NAME } } as const;

let cluster: Cluster;
let world: World;
let proxy: Daemon;
beforeAll(async () => {
  cluster = await startCluster();
  world = await addWorld(cluster, "daemon-");
  await cluster.api.create(service("web", [WEB], [{ port: 80 }]));
  await cluster.api.create(slice("web", 4, [{ pod: "local1" }], [{ port: 80 }]));
  proxy = await startProxy(cluster, { program: "tsnet", mode: "nftables", world });
});
afterAll(async () => await cluster.stop());

const get = async (url: string) =>
  await world.sh("node", `curl -s -o /dev/null -w '%{http_code}' http://${url} || true`);
const rules = async () => await world.sh("node", "nft list table ip tsnet-proxy 2>/dev/null || true");
const events = async (reason: string) => {
  const all = await cluster.api.list("events.k8s.io/v1", "Event", "default");
  return all.filter((event) => event.reason === reason);
};

test("rows 11, 17: before its Node has podCIDRs nothing is written, and /healthz fails; then all is", async () => {
  await proxy.until(async () => (await proxy.output()).includes("waiting for the Node's podCIDRs"));
  expect(await get("127.0.0.1:10256/healthz")).toBe("503");
  expect(await get("127.0.0.1:10256/livez")).toBe("200");
  expect(await rules()).toBe("");
  await addWorldNode(cluster);
  await proxy.until(async () => (await rules()).includes(WEB));
  expect(await get("127.0.0.1:10256/healthz")).toBe("200");
});

test("that it started is an Event about its Node", async () => {
  await eventually(async () => (await events("Starting")).length > 0, "the Event");
  expect((await events("Starting"))[0]).toMatchObject({
    ...{ type: "Normal", action: "StartKubeProxy", reportingController: "kube-proxy" },
    regarding: { kind: "Node", name: NODE_NAME },
  });
});

test("row 17: /healthz fails while the Node is tainted for removal, and /livez does not", async () => {
  const taints = [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule", value: "1" }];
  await cluster.api.patch(NODE, { spec: { taints } });
  await eventually(async () => (await get("127.0.0.1:10256/healthz")) === "503", "/healthz to fail");
  expect(await get("127.0.0.1:10256/livez")).toBe("200");
  await cluster.api.patch(NODE, { spec: { taints: null } });
  await eventually(async () => (await get("127.0.0.1:10256/healthz")) === "200", "/healthz to pass");
});

test("a health-check node port that somebody has is an Event about its Service, and is opened once it is free", async () => {
  const holder = `Bun.listen({ hostname: "${ADDRESSES.node[4]}", port: 32123, socket: { data() {} } })`;
  await world.sh("node", `${process.execPath} -e '${holder}' >/dev/null 2>&1 & echo $! >/run/holder`);
  await eventually(async () => (await world.sh("node", "ss -Hltn 'sport = 32123'")) !== "", "the port to be taken");
  const spec = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 32123 };
  await cluster.api.create(service("balanced", ["10.96.9.2"], [{ port: 80 }], spec));
  await cluster.api.create(slice("balanced", 4, [{ pod: "local1" }, { pod: "remote1" }], [{ port: 80 }]));
  await eventually(async () => (await events("FailedToStartServiceHealthcheck")).length > 0, "the Event");
  expect((await events("FailedToStartServiceHealthcheck"))[0]).toMatchObject({
    ...{ type: "Warning", action: "Listen", note: expect.stringContaining("on port 32123") },
    regarding: { kind: "Service", namespace: "default", name: "balanced" },
  });
  await world.sh("node", "kill $(cat /run/holder)");
  await eventually(async () => (await get(`${ADDRESSES.node[4]}:32123/`)) === "200", "the port to be open");
});
