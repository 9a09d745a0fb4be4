/**
 * The proxy's source against a real API server, with the rights of examples/kubernetes/rbac.yaml and no others.
 *
 * It runs in the test's own process, with waits cut down to what a test can bear, and reaches the server through a
 * door that the test shuts when the network is to fail.
 *
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Log } from "../../lib/daemon/log.ts";
import { connectKube } from "../../lib/kube/client.ts";
import { REFLECTOR_TIMES, type ReflectorTimes } from "../../lib/kube/reflector.ts";
import { kubeSource } from "../../proxy/source/kube.ts";
import type { Source } from "../../proxy/source/source.ts";
import { Door } from "../door.ts";
import { Recorder } from "../proxy/source/recorder.ts";
import type { Manifest } from "./api.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { service } from "./objects.ts";

const PORTS = [{ port: 80 }];
const SILENT: Log = { info() {}, warn() {}, error() {}, debug() {} };
const TIMES: Partial<ReflectorTimes> = {
  backoff: { firstMs: 50, maxMs: 500 },
  relistMs: 50,
  deniedMs: 200,
  settleMs: 100,
};

let cluster: Cluster;
let directory: string;
let door: Door;
let sink: Recorder;
let source: Source | undefined;

beforeAll(async () => {
  cluster = await startCluster();
  await cluster.addNode({ name: "here", addresses: ["192.168.60.1"], podCIDRs: ["10.50.1.0/24"] });
  await cluster.addNode({ name: "there", addresses: ["192.168.60.2"], podCIDRs: ["10.50.2.0/24"] });
});
afterAll(async () => await cluster.stop());

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tsnet-source-"));
  door = await Door.open(Number(new URL(cluster.admin.server).port));
  sink = new Recorder();
  await renewToken();
});
afterEach(async () => {
  await source?.stop();
  door.shut();
  rmSync(directory, { recursive: true });
  for (const { metadata } of await cluster.api.list("v1", "Service", "default")) {
    if (metadata.name !== "kubernetes") await cluster.api.delete({ apiVersion: "v1", kind: "Service", metadata });
  }
});

async function renewToken(): Promise<void> {
  writeFileSync(join(directory, "token"), await cluster.api.token("kube-system", "kube-proxy"));
}

/** Starts the source by the proxy's service account, and waits until all kinds are in. */
async function start(times: Partial<ReflectorTimes> = {}): Promise<void> {
  const kubeconfig = join(directory, "config");
  writeFileSync(join(directory, "ca.crt"), cluster.admin.ca);
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      "current-context": "x",
      clusters: [
        { name: "x", cluster: { server: `https://127.0.0.1:${door.port}`, "certificate-authority": "ca.crt" } },
      ],
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      users: [{ name: "x", user: { tokenFile: "token" } }],
    }),
  );
  const client = await connectKube({ kubeconfig, env: {} });
  const all = { ...REFLECTOR_TIMES, ...TIMES, ...times };
  source = kubeSource({ client, nodeName: "here", log: SILENT, serviceCIDRs: true, times: all });
  source.start(sink);
  await until(() => expect(sink.synchronized.toSorted()).toEqual(["EndpointSlice", "Node", "Service", "ServiceCIDR"]));
}

function until(look: () => void): Promise<void> {
  return vi.waitFor(look, { timeout: 60_000, interval: 20 });
}

function services(): readonly string[] {
  return [...sink.keys("Service")].filter((key) => key !== "default/kubernetes").sort();
}

function slice(name: string, labels: object = {}): Manifest {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, namespace: "default", labels: { "kubernetes.io/service-name": "web", ...labels } },
    addressType: "IPv4",
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints: [{ addresses: ["10.50.1.2"], nodeName: "here" }],
  };
}

const downs = () => sink.connections.filter((word) => word.startsWith("down"));
const ups = () => sink.connections.filter((word) => word === "up");
const WEB = { apiVersion: "v1", kind: "Service", metadata: { name: "web" } } as const;

describe("the API server", () => {
  test("tells of what is there and of what becomes of it, with the rights of the example", async () => {
    await cluster.api.create(service("before", ["10.96.5.1"], PORTS));
    await start();
    expect(services()).toEqual(["default/before"]);
    expect(sink.objects.get("Node here")).toMatchObject({ addresses: ["192.168.60.1"], podCIDRs: ["10.50.1.0/24"] });
    expect([...sink.keys("Node")]).toEqual(["here"]);
    expect(sink.objects.get("ServiceCIDR kubernetes")).toMatchObject({ cidrs: ["10.96.0.0/12", "fd00:10:96::/108"] });

    await cluster.api.create(service("web", ["10.96.5.2"], PORTS));
    await cluster.api.create(service("headless", ["None"], PORTS));
    await cluster.api.create(slice("web-1"));
    await cluster.api.create(slice("web-2", { "service.kubernetes.io/headless": "" }));
    await cluster.api.delete({ apiVersion: "v1", kind: "Service", metadata: { name: "before" } });
    await until(() => expect(services()).toEqual(["default/web"]));
    await until(() => expect([...sink.keys("EndpointSlice")]).toContain("default/web-1"));
    expect([...sink.keys("EndpointSlice")]).not.toContain("default/web-2");

    // Another proxy's from now on: it no longer matches the selector, which is told as if it were deleted.
    await cluster.api.patch(WEB, { metadata: { labels: { "service.kubernetes.io/service-proxy-name": "other" } } });
    await until(() => expect(services()).toEqual([]));
    await cluster.api.delete(slice("web-1"));
    await until(() => expect([...sink.keys("EndpointSlice")]).not.toContain("default/web-1"));
    expect(sink.connections).toEqual(["up", "up", "up", "up"]);
    expect([...sink.bad]).toEqual([]);
  });

  test("may be restarted: that is told once a kind, nothing is taken back, and changes come again", async () => {
    await cluster.api.create(service("web", ["10.96.5.2"], PORTS));
    await start();
    const deleted = vi.spyOn(sink, "delete");
    await cluster.stopApi();
    await until(() => expect(downs()).toHaveLength(4));
    await cluster.startApi();
    await until(() => expect(ups()).toHaveLength(8));
    expect(downs()).toHaveLength(4);
    expect(deleted).not.toHaveBeenCalled();
    await cluster.api.create(service("more", ["10.96.5.3"], PORTS));
    await until(() => expect(services()).toEqual(["default/more", "default/web"]));
  });

  test("may have forgotten what we last saw: then what is gone meanwhile is gone here too", async () => {
    await cluster.api.create(service("web", ["10.96.5.2"], PORTS));
    await cluster.api.create(service("stays", ["10.96.5.4"], PORTS));
    await start();
    door.shut();
    await until(() => expect(downs()).toHaveLength(4));
    await cluster.api.delete(WEB);
    await cluster.api.create(service("more", ["10.96.5.3"], PORTS));
    await cluster.stopApi();
    await cluster.compact();
    await cluster.startApi();
    expect(services()).toEqual(["default/stays", "default/web"]);
    await door.reopen();
    await until(() => expect(services()).toEqual(["default/more", "default/stays"]));
  });

  test("may fall silent with its connections open: that is noticed, and its end too", async () => {
    await start({ idleMs: 500, openMs: 500 });
    await cluster.freezeApi();
    try {
      await until(() => expect(downs()).toHaveLength(4));
      expect(downs()[0]).toContain("nothing came from https://127.0.0.1");
    } finally {
      await cluster.thawApi();
    }
    await cluster.api.create(service("web", ["10.96.5.2"], PORTS));
    await until(() => expect(services()).toEqual(["default/web"]));
  });

  test("takes a token that was replaced while we run", async () => {
    await start({ watchSeconds: [1, 1] });
    // With the account its tokens are void, as if they had expired.
    const account = {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "kube-proxy", namespace: "kube-system" },
    };
    await cluster.api.delete(account);
    await cluster.api.create(account);
    await until(() => expect(downs()).toHaveLength(4));
    expect(downs()[0]).toContain("401");
    await renewToken();
    await until(() => expect(ups()).toHaveLength(8));
    await cluster.api.create(service("web", ["10.96.5.2"], PORTS));
    await until(() => expect(services()).toEqual(["default/web"]));
  });

  test("that refuses is quoted, with what the role lacks", async () => {
    const binding = {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "tsnet-proxy" },
    };
    const granted = await cluster.api.get(binding);
    await cluster.api.delete(binding);
    try {
      const starting = start();
      await until(() => expect(downs()).toHaveLength(4));
      const refusal = downs().find((word) => word.includes("endpointslices"));
      expect(refusal).toMatch(/cannot (list|watch) resource "endpointslices" in API group "discovery.k8s.io"/);
      expect(refusal).toContain("a role with the verbs list and watch on endpointslices.discovery.k8s.io is needed");
      await cluster.api.create({ ...granted, metadata: binding.metadata });
      await starting;
    } finally {
      await cluster.api.create({ ...granted, metadata: binding.metadata }).catch(() => {});
    }
  });
});
