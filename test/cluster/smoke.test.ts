/**
 * The control plane that all cluster tests stand on, and what examples/kubernetes asks of one.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROJECT } from "../e2e/host.ts";
import { eventually } from "../e2e/standalone.ts";
import { Api, ApiError } from "./api.ts";
import { type Cluster, ENDPOINT_CONTROLLERS, manifestsOf, startCluster } from "./cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ controllers: ENDPOINT_CONTROLLERS });
});
afterAll(async () => await cluster.stop());

const WEB = { apiVersion: "v1", kind: "Service", metadata: { name: "web" } } as const;

describe("a control plane of its own", () => {
  test("gives a Service addresses of both families, and its endpoint slices the addresses of its pods", async () => {
    await cluster.addNode({ name: "node", addresses: ["192.168.60.1", "fd60::1"], podCIDRs: ["10.50.1.0/24"] });
    const service = await cluster.api.create({
      ...WEB,
      spec: {
        ipFamilyPolicy: "RequireDualStack",
        selector: { app: "web" },
        ports: [{ port: 80, targetPort: 8080 }],
      },
    });
    expect(service.spec).toMatchObject({
      clusterIPs: [expect.stringMatching(/^10\.(9[6-9]|1[01]\d)\./), expect.stringMatching(/^fd00:10:96::/)],
    });
    await cluster.api.createWithStatus(readyPod("web-1", ["10.50.1.2", "fd51::2"]));
    const addresses = async () => {
      const slices = await cluster.api.list("discovery.k8s.io/v1", "EndpointSlice", "default");
      return JSON.stringify(slices.filter((slice) => slice.metadata.name.startsWith("web-")));
    };
    await eventually(async () => /10\.50\.1\.2.*fd51::2|fd51::2.*10\.50\.1\.2/.test(await addresses()), "both slices");
  });

  test("answers 410 to a watch that is older than what it remembers", async () => {
    const old = (await cluster.api.get(WEB)).metadata.resourceVersion;
    for (let n = 0; n < 3; n++) await cluster.api.patch(WEB, { metadata: { labels: { turn: String(n) } } });
    await cluster.stopApi();
    await cluster.compact();
    await cluster.startApi();
    const watch = cluster.api.request("GET", `/api/v1/services?watch=1&resourceVersion=${old}&timeoutSeconds=1`);
    const answer = await watch.catch((error: unknown) => error);
    expect(answer instanceof ApiError ? String(answer.status) : JSON.stringify(answer)).toContain("410");
  });
});

describe("the proxy's service account", () => {
  const asProxy = async () => {
    const { server, ca } = cluster.admin;
    return new Api({ server, ca, token: await cluster.api.token("kube-system", "kube-proxy") });
  };

  test("may read what it programs, and write events", async () => {
    const proxy = await asProxy();
    for (const path of [
      "/api/v1/services",
      "/apis/discovery.k8s.io/v1/endpointslices",
      "/apis/networking.k8s.io/v1/servicecidrs",
      "/api/v1/nodes",
    ]) {
      await expect(proxy.request("GET", path), path).resolves.toMatchObject({ items: expect.anything() });
    }
    const event = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: "started", namespace: "default" },
      eventTime: "2026-01-01T00:00:00.000000Z",
      action: "Start",
      reason: "Starting",
      note: "",
      regarding: { kind: "Node", name: "node", uid: "node" },
      reportingController: "kube-proxy",
      reportingInstance: "kube-proxy-node",
      type: "Normal",
    };
    await expect(proxy.create(event)).resolves.toMatchObject({ metadata: { name: "started" } });
  });

  test("may neither read secrets nor change a Service", async () => {
    const proxy = await asProxy();
    await expect(proxy.request("GET", "/api/v1/secrets")).rejects.toMatchObject({ status: 403 });
    await expect(proxy.patch(WEB, { metadata: { labels: { by: "proxy" } } })).rejects.toMatchObject({ status: 403 });
  });
});

describe("examples/kubernetes", () => {
  const folder = `${PROJECT}/examples/kubernetes`;

  test.each(readdirSync(folder).filter((name) => name.endsWith(".yaml")))(
    "%s is accepted by the API server's own validation",
    async (name) => {
      for (const object of await manifestsOf(`${folder}/${name}`)) {
        // The service account and its rights are there already: what is checked is what the file says, not that.
        const fresh = { ...object, metadata: { ...object.metadata, name: `${object.metadata.name}-try` } };
        await expect(cluster.api.create(fresh, { dryRun: true })).resolves.toMatchObject({ kind: object.kind });
      }
    },
  );
});

function readyPod(name: string, addresses: readonly string[]) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: "web" } },
    spec: { nodeName: "node", containers: [{ name: "main", image: "none" }] },
    status: {
      phase: "Running",
      podIP: addresses[0],
      podIPs: addresses.map((ip) => ({ ip })),
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}
