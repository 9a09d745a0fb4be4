/**
 * What the daemon serves by HTTP: health, metrics, health-check node ports.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Host } from "../host.ts";
import { Daemon, Directory, node, rulesOf, service, until } from "./daemon.ts";

let host: Host;
let manifests: Directory;
let proxy: Daemon;

beforeAll(async () => {
  host = await Host.create();
  await host.sh("ip link add up0 type veth peer name up1; ip addr add 192.168.50.1/24 dev up0; ip link set up0 up");
  manifests = await Directory.create();
  await manifests.write("node", node());
  await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [2, 3], healthCheckNodePort: 32000 }));
  await host.ok(["nft", "list", "tables"]);
  proxy = await new Daemon(host, ["--proxy-mode", "nftables", "--manifests", manifests.path]).inPlace();
});
afterAll(async () => {
  await proxy.stop();
  await host.destroy();
  await manifests[Symbol.asyncDispose]();
});

async function get(url: string, ...flags: readonly string[]) {
  const { stdout } = await host.run(["curl", "-s", "-i", "--max-time", "5", ...flags, `http://${url}`]);
  const [head = "", ...body] = stdout.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1] ?? 0), head: head.toLowerCase(), body: body.join("") };
}

test("/healthz and /livez tell in JSON how each family is", async () => {
  for (const [path, more] of [
    ["healthz", { nodeEligible: true }],
    ["livez", {}],
  ] as const) {
    const { status, head, body } = await get(`127.0.0.1:10256/${path}`);
    expect(status).toBe(200);
    expect(head).toContain("content-type: application/json");
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
    expect(JSON.parse(body)).toEqual({
      ...{ lastUpdated: time, currentTime: time, healthy: true, ...more },
      status: { IPv4: { lastUpdated: time, healthy: true }, IPv6: { lastUpdated: time, healthy: true } },
    });
  }
});

test("health is served on every address of both families, metrics on 127.0.0.1 alone", async () => {
  expect((await get("192.168.50.1:10256/livez")).status).toBe(200);
  expect((await get("[::1]:10256/livez")).status).toBe(200);
  expect((await get("192.168.50.1:10249/healthz")).status).toBe(0);
});

test("row 17: /healthz fails while the node is tainted, being deleted or gone, /livez does not, and rules stay", async () => {
  const rules = await rulesOf(host, "nftables");
  const taint = { spec: { taints: [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }] } };
  for (const change of [
    () => manifests.write("node", node(taint)),
    () => manifests.write("node", node({ metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } })),
    () => manifests.remove("node"),
  ]) {
    await change();
    const { body } = await until("/healthz to fail", async () => {
      const answer = await get("127.0.0.1:10256/healthz");
      return answer.status === 503 && answer;
    });
    expect(JSON.parse(body)).toMatchObject({ nodeEligible: false, healthy: true });
    expect((await get("127.0.0.1:10256/livez")).status).toBe(200);
    await manifests.write("node", node());
    await until("/healthz to pass", async () => (await get("127.0.0.1:10256/healthz")).status === 200);
  }
  expect(await rulesOf(host, "nftables")).toBe(rules);
});

test("/metrics has kube-proxy's names, types and labels", async () => {
  const { body, head } = await get("127.0.0.1:10249/metrics");
  expect(head).toContain("content-type: text/plain; version=0.0.4");
  for (const [name, type] of [
    ["sync_proxy_rules_duration_seconds", "histogram"],
    ["sync_full_proxy_rules_duration_seconds", "histogram"],
    ["sync_partial_proxy_rules_duration_seconds", "histogram"],
    ["network_programming_duration_seconds", "histogram"],
    ["sync_proxy_rules_last_timestamp_seconds", "gauge"],
    ["sync_proxy_rules_last_queued_timestamp_seconds", "gauge"],
    ["sync_proxy_rules_nftables_sync_failures_total", "counter"],
    ["sync_proxy_rules_no_local_endpoints_total", "gauge"],
    ["sync_proxy_rules_endpoint_changes_pending", "gauge"],
    ["sync_proxy_rules_endpoint_changes_total", "counter"],
    ["sync_proxy_rules_service_changes_pending", "gauge"],
    ["sync_proxy_rules_service_changes_total", "counter"],
    ["conntrack_reconciler_deleted_entries_total", "counter"],
    ["proxy_healthz_total", "counter"],
    ["proxy_livez_total", "counter"],
  ]) {
    expect(body).toContain(`# TYPE kubeproxy_${name} ${type}\n`);
  }
  for (const family of ["IPv4", "IPv6"]) {
    expect(body).toMatch(
      new RegExp(
        `^kubeproxy_sync_full_proxy_rules_duration_seconds_bucket\\{le="16.384",ip_family="${family}"\\} [1-9]`,
        "m",
      ),
    );
    expect(body).toMatch(
      new RegExp(`^kubeproxy_sync_proxy_rules_last_timestamp_seconds\\{ip_family="${family}"\\} \\d{10}`, "m"),
    );
  }
  expect(body).toMatch(
    /^kubeproxy_sync_proxy_rules_no_local_endpoints_total\{ip_family="IPv4",traffic_policy="external"\} 0$/m,
  );
});

test("network_programming_duration_seconds is measured from what triggered a slice", async () => {
  const [web, slice] = service({ name: "timed", n: 20, endpoints: [7] });
  const annotations = { "endpoints.kubernetes.io/last-change-trigger-time": new Date().toISOString() };
  const metadata = {
    name: "timed-1",
    namespace: "default",
    labels: { "kubernetes.io/service-name": "timed" },
    annotations,
  };
  await manifests.write("timed", web ?? {}, { ...slice, metadata });
  await until("it in the metrics", async () =>
    /^kubeproxy_network_programming_duration_seconds_count\{ip_family="IPv4"\} 1$/m.test(
      (await get("127.0.0.1:10249/metrics")).body,
    ),
  );
});

test("/proxyMode, /configz and /healthz of the metrics server", async () => {
  expect((await get("127.0.0.1:10249/proxyMode")).body).toBe("nftables");
  expect(await get("127.0.0.1:10249/healthz")).toMatchObject({ status: 200, body: "ok" });
  expect(JSON.parse((await get("127.0.0.1:10249/configz")).body)).toMatchObject({
    "kubeproxy.config.k8s.io": { kind: "KubeProxyConfiguration", mode: "nftables", hostnameOverride: "n1" },
  });
  expect((await get("127.0.0.1:10249/nothing")).status).toBe(404);
  // As the real one, which looks at no method: a balancer may ask by OPTIONS.
  expect((await get("127.0.0.1:10256/healthz", "-X", "OPTIONS")).status).toBe(200);
});

test("a health-check node port says how many endpoints this node has, and fails without any", async () => {
  const answer = await get("192.168.50.1:32000/");
  expect(answer.status).toBe(200);
  expect(answer.head).toContain("x-load-balancing-endpoint-weight: 2");
  expect(JSON.parse(answer.body)).toEqual({
    ...{ service: { namespace: "default", name: "web" }, localEndpoints: 2, serviceProxyHealthy: true },
  });
  await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [], healthCheckNodePort: 32000 }));
  await until("503", async () => (await get("192.168.50.1:32000/")).status === 503);
  await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [2], healthCheckNodePort: 32001 }));
  await until("the new port", async () => (await get("192.168.50.1:32001/")).status === 200);
  expect((await get("192.168.50.1:32000/")).status).toBe(0);
  await manifests.remove("web");
  await until("the port closed", async () => (await get("192.168.50.1:32001/")).status === 0);
});

test("a port that somebody has is a warning, tried again; fatal only with bindAddressHardFail", async () => {
  const taken = ["--proxy-mode", "nftables", "--manifests", manifests.path, "--healthz-bind-address", "0.0.0.0:10257"];
  const second = new Daemon(host, taken);
  await second.logged(/WARN cannot serve metrics yet: trying again.*10249/);
  await second.logged(/rules in place family=6/);
  expect((await get("127.0.0.1:10257/livez")).status).toBe(200);
  expect(await second.stop()).toBe(0);
  const third = new Daemon(host, [...taken, "--bind-address-hard-fail"]);
  expect(await third.exited).toBe(1);
  expect(third.log).toMatch(/cannot listen on 127.0.0.1 port 10249/);
});
