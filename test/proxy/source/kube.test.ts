import { afterEach, describe, expect, test, vi } from "vitest";
import type { Log } from "../../../lib/daemon/log.ts";
import { connectKube } from "../../../lib/kube/client.ts";
import { REFLECTOR_TIMES } from "../../../lib/kube/reflector.ts";
import { kubeSource } from "../../../proxy/source/kube.ts";
import { type Answer, event, list, openWatch, ScriptedServer, status, text } from "../../lib/kube/scripted.ts";
import { Recorder } from "./recorder.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const PATHS = {
  services: "/api/v1/services",
  slices: "/apis/discovery.k8s.io/v1/endpointslices",
  cidrs: "/apis/networking.k8s.io/v1/servicecidrs",
  nodes: "/api/v1/nodes",
} as const;

type Answers = { [K in keyof typeof PATHS]?: readonly Answer[] };

/** Lists that are not asked for in the test are empty; a watch without an answer is silent. WatchList is refused. */
function routed(answers: Answers): Answer {
  const left = new Map<string, Answer[]>(
    Object.entries(PATHS).map(([kind, path]) => [path, [...(answersOf(answers, kind) ?? [list("1")])]]),
  );
  return (response, request) => {
    const url = new URL(request.url ?? "", "http://x");
    const next = url.searchParams.has("sendInitialEvents") ? status(422) : left.get(url.pathname)?.shift();
    (next ?? openWatch())(response, request);
  };
}

function answersOf(answers: Answers, kind: string): readonly Answer[] | undefined {
  return Object.entries(answers).find(([key]) => key === kind)?.[1];
}

interface Watched {
  readonly server: ScriptedServer;
  readonly sink: Recorder;
  readonly warnings: readonly string[];
  readonly stop: () => Promise<void>;
}

async function watching(answers: Answers, { serviceCIDRs = true, sink = new Recorder() } = {}): Promise<Watched> {
  const route = routed(answers);
  const server = await ScriptedServer.start(...Array.from({ length: 100 }, () => route));
  const warnings: string[] = [];
  const log: Log = {
    info() {},
    warn: (message, fields = {}) => warnings.push(`${message}: ${fields.problem}`),
    error() {},
    debug() {},
  };
  const client = await connectKube({ master: server.url, env: {} });
  const times = { ...REFLECTOR_TIMES, backoff: { firstMs: 1, maxMs: 5 }, relistMs: 1 };
  const source = kubeSource({ client, nodeName: "here", log, serviceCIDRs, times });
  source.start(sink);
  const stop = () => source.stop();
  cleanups.push(() => server.stop(), stop);
  await vi.waitFor(() =>
    expect(sink.synchronized.toSorted()).toEqual(["EndpointSlice", "Node", "Service", "ServiceCIDR"]),
  );
  return { server, sink, warnings, stop };
}

function service(name: string, spec: object = {}): object {
  const ports = [{ port: 80 }];
  return {
    metadata: { name, namespace: "default", resourceVersion: "5" },
    spec: { clusterIP: "10.96.0.9", ports, ...spec },
  };
}

function slice(name: string, of: string): object {
  const labels = { "kubernetes.io/service-name": of };
  return {
    metadata: { name, namespace: "default", resourceVersion: "6", labels },
    addressType: "IPv4",
    ports: [{ port: 8080 }],
    endpoints: [{ addresses: ["10.1.0.1"] }],
  };
}

const NODE = { metadata: { name: "here" }, status: { addresses: [{ type: "InternalIP", address: "192.168.1.1" }] } };
const CIDR = { metadata: { name: "kubernetes" }, spec: { cidrs: ["10.96.0.0/12"] } };

describe("a Kubernetes API server", () => {
  test("is asked for what a proxy programs, by the selectors of kube-proxy", async () => {
    const { server } = await watching({});
    const asked = new Set(
      server.requests.map(({ pathname, searchParams }) =>
        [pathname, searchParams.get("labelSelector"), searchParams.get("fieldSelector")].join(" "),
      ),
    );
    expect([...asked].sort()).toEqual([
      "/api/v1/nodes  metadata.name=here",
      "/api/v1/services !service.kubernetes.io/service-proxy-name spec.clusterIP!=None",
      "/apis/discovery.k8s.io/v1/endpointslices !service.kubernetes.io/headless ",
      "/apis/networking.k8s.io/v1/servicecidrs  ",
    ]);
  });

  test("tells of all four kinds, by namespace and name, or by name", async () => {
    const { sink } = await watching({
      services: [list("7", service("web"))],
      slices: [list("7", slice("web-1", "web"))],
      cidrs: [list("7", CIDR)],
      nodes: [list("7", NODE)],
    });
    expect(sink.ids).toEqual([
      "EndpointSlice default/web-1",
      "Node here",
      "Service default/web",
      "ServiceCIDR kubernetes",
    ]);
    expect(sink.objects.get("Node here")).toMatchObject({ name: "here", addresses: ["192.168.1.1"] });
    expect(sink.connections).toEqual(["up", "up", "up", "up"]);
  });

  test("is not asked for ServiceCIDRs that nobody wants, and they count as synced", async () => {
    const { server } = await watching({}, { serviceCIDRs: false });
    expect(server.requests.filter((url) => url.pathname === PATHS.cidrs)).toEqual([]);
  });

  test("that is too old for ServiceCIDRs has none", async () => {
    const { sink } = await watching({ cidrs: [status(404)] });
    expect(sink.connections).toEqual(["up", "up", "up", "up"]);
  });

  test("changes, removes, and makes of an object one that is not to be programmed", async () => {
    const { sink } = await watching({
      services: [
        list("7", service("a"), service("b"), service("c")),
        openWatch(
          event("MODIFIED", service("a", { clusterIP: "10.96.0.10" })),
          event("DELETED", service("b")),
          event("MODIFIED", service("c", { type: "ExternalName", clusterIP: "" })),
        ),
      ],
      nodes: [list("7", NODE), openWatch(event("DELETED", NODE))],
    });
    await vi.waitFor(() => expect(sink.ids).toEqual(["Service default/a"]));
    await vi.waitFor(() => expect(sink.objects.get("Service default/a")).toMatchObject({ clusterIPs: ["10.96.0.10"] }));
  });

  test("what a list after a gap does not have any more is gone, and nothing else is touched meanwhile", async () => {
    const sink = new Recorder();
    const deleted = vi.spyOn(sink, "delete");
    await watching(
      {
        services: [
          list("7", service("a"), service("b"), service("c")),
          status(410),
          list("20", service("b"), service("d")),
        ],
      },
      { sink },
    );
    await vi.waitFor(() => expect(sink.ids).toEqual(["Service default/b", "Service default/d"]));
    expect(deleted.mock.calls).toEqual([
      ["Service", "default/a"],
      ["Service", "default/c"],
    ]);
  });

  test("one malformed object is named with its field, and never stops the others", async () => {
    const { sink, warnings } = await watching({
      services: [
        list(
          "7",
          service("bad", { ports: [{ port: "http" }] }),
          { metadata: {} },
          service("partly", { externalIPs: ["nonsense", "192.0.2.1"] }),
          service("good"),
        ),
      ],
      slices: [
        text('{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"torn","namespace":"x"},"a":tru}]}'),
      ],
    });
    expect(sink.ids).toEqual(["Service default/good", "Service default/partly"]);
    expect(Object.fromEntries(sink.bad)).toEqual({
      "Service default/bad": expect.stringContaining("spec.ports[0].port"),
      "Service ": "metadata.name is missing",
      "EndpointSlice x/torn": "is no JSON",
    });
    expect(warnings).toEqual([
      expect.stringContaining("Service default/partly has an entry that is left out: spec.externalIPs[0]"),
    ]);
  });

  test("an object that becomes malformed is absent until it is mended", async () => {
    const { sink } = await watching({
      services: [
        list("7", service("a"), service("b")),
        openWatch(event("MODIFIED", service("a", { clusterIP: "nonsense" })), event("MODIFIED", service("b"))),
      ],
    });
    await vi.waitFor(() => expect(sink.ids).toEqual(["Service default/b"]));
    expect([...sink.bad.keys()]).toEqual(["Service default/a"]);
  });

  test("is let go at once, in the middle of its watches", async () => {
    const { server, stop } = await watching({});
    await vi.waitFor(() =>
      expect(server.requests.filter((url) => url.searchParams.has("watch")).length).toBeGreaterThan(4),
    );
    await stop();
  });
});
