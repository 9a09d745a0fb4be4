import { describe, expect, it } from "vitest";
import { places, World } from "./world.ts";

describe("State", () => {
  it("plans a service and its endpoints, whichever comes first", () => {
    const world = new World();
    world.slice("web-1", "web", [
      { ip: "10.244.1.2", node: "here" },
      { ip: "10.244.2.2", node: "there" },
    ]);
    expect(world.state.take().changes.get(4)?.size).toBe(0);
    world.service("web", "10.96.0.10");
    const pending = world.state.take();
    expect(world.changed(pending)).toEqual(["shop/web"]);
    const rules = pending.changes.get(4)?.get("shop/web");
    expect(rules?.before).toBeUndefined();
    expect(rules?.after).toMatchObject([
      {
        name: "shop/web",
        protocol: "tcp",
        frontends: [{ kind: "clusterIP", address: "10.96.0.10", port: 80, policy: "Cluster", sourceRanges: undefined }],
        endpoints: [
          { address: "10.244.1.2", port: 8080, local: true },
          { address: "10.244.2.2", port: 8080, local: false },
        ],
        local: [],
        served: true,
        affinitySeconds: undefined,
      },
    ]);
    expect(pending.tables.get(4)?.services.get("shop/web")).toBe(rules?.after);
    expect(pending.changes.get(6)?.size).toBe(0);
  });

  it("brings only what changed since the last time", () => {
    const world = new World().service("web", "10.96.0.10").service("api", "10.96.0.11");
    world.slice("web-1", "web", [{ ip: "10.244.1.2" }]).slice("api-1", "api", [{ ip: "10.244.1.3" }]);
    world.state.take();
    world.slice("api-1", "api", [{ ip: "10.244.1.4" }]);
    const pending = world.state.take();
    expect(world.changed(pending)).toEqual(["shop/api"]);
    const change = pending.changes.get(4)?.get("shop/api");
    expect(places(change?.before?.[0]?.endpoints)).toEqual(["10.244.1.3:8080"]);
    expect(places(change?.after?.[0]?.endpoints)).toEqual(["10.244.1.4:8080"]);
    expect([pending.serviceChanges, pending.endpointChanges]).toEqual([0, 1]);
    expect(world.changed(world.state.take())).toEqual([]);
  });

  it("does nothing about an object that says what it said before", () => {
    const world = new World().service("web", "10.96.0.10").slice("web-1", "web", [{ ip: "10.244.1.2" }]);
    world.state.take();
    const { changes } = world;
    world.service("web", "10.96.0.10").slice("web-1", "web", [{ ip: "10.244.1.2" }]);
    expect(world.changes).toBe(changes);
    expect(world.state.take()).toMatchObject({ serviceChanges: 0, endpointChanges: 0 });
  });

  it("takes away the rules of a service that is gone, and leaves nothing of it", () => {
    const world = new World().service("web", "10.96.0.10").slice("web-1", "web", [{ ip: "10.244.1.2" }]);
    world.state.take();
    world.state.delete("Service", "shop/web");
    world.state.delete("EndpointSlice", "shop/web-1");
    const pending = world.state.take();
    expect(pending.changes.get(4)?.get("shop/web")).toMatchObject({ before: [{}], after: undefined });
    expect(pending.tables.get(4)?.services.size).toBe(0);
    expect([...world.state.keys("Service"), ...world.state.keys("EndpointSlice")]).toEqual([]);
  });

  it("sees a service that is deleted and made again in one batch as one change", () => {
    const world = new World().service("web", "10.96.0.10").slice("web-1", "web", [{ ip: "10.244.1.2" }]);
    world.state.take();
    world.state.delete("Service", "shop/web");
    world.service("web", "10.96.0.20");
    const change = world.state.take().changes.get(4)?.get("shop/web");
    expect(change?.before?.[0]?.frontends[0]?.address).toBe("10.96.0.10");
    expect(change?.after?.[0]?.frontends[0]?.address).toBe("10.96.0.20");
  });

  it("plans a service of two families in each", () => {
    const world = new World().service("web", "10.96.0.10", { clusterIPs: ["10.96.0.10", "fd00:96::10"] });
    world.slice("web-4", "web", [{ ip: "10.244.1.2" }]).slice("web-6", "web", [{ ip: "fd00:244::2" }]);
    const { tables } = world.state.take();
    expect(places(tables.get(4)?.services.get("shop/web")?.[0]?.endpoints)).toEqual(["10.244.1.2:8080"]);
    expect(places(tables.get(6)?.services.get("shop/web")?.[0]?.endpoints)).toEqual(["fd00:244::2:8080"]);
    expect(tables.get(6)?.services.get("shop/web")?.[0]?.frontends[0]?.address).toBe("fd00:96::10");
  });

  it("joins the slices of a service; an endpoint that moves between them is never missing nor twice", () => {
    const world = new World().service("web", "10.96.0.10");
    world
      .slice("web-1", "web", [{ ip: "10.244.1.2" }, { ip: "10.244.1.3" }])
      .slice("web-2", "web", [{ ip: "10.244.1.4" }]);
    expect(places(world.rules("web")[0]?.endpoints)).toEqual(["10.244.1.2:8080", "10.244.1.3:8080", "10.244.1.4:8080"]);
    world.slice("web-2", "web", [{ ip: "10.244.1.4" }, { ip: "10.244.1.3" }]);
    expect(world.changed(world.state.take())).toEqual([]);
    world.slice("web-1", "web", [{ ip: "10.244.1.2" }]);
    expect(world.changed(world.state.take())).toEqual([]);
    world.state.delete("EndpointSlice", "shop/web-2");
    expect(places(world.rules("web")[0]?.endpoints)).toEqual(["10.244.1.2:8080"]);
  });

  it("follows a slice that is given to another service", () => {
    const world = new World().service("web", "10.96.0.10").service("api", "10.96.0.11");
    world.slice("x", "web", [{ ip: "10.244.1.2" }]);
    world.state.take();
    world.slice("x", "api", [{ ip: "10.244.1.2" }]);
    expect(places(world.rules("web")[0]?.endpoints)).toEqual([]);
    expect(places(world.rules("api")[0]?.endpoints)).toEqual(["10.244.1.2:8080"]);
  });

  it("treats an object that cannot be read as absent, names it once for each reason, and takes it back once it is well", () => {
    const world = new World().service("web", "10.96.0.10");
    world.state.take();
    world.state.malformed("Service", "shop/web", "spec.ports must be a list");
    world.state.malformed("Service", "shop/web", "spec.ports must be a list");
    expect(world.malformed).toEqual(["Service shop/web: spec.ports must be a list"]);
    expect(world.warnings).toEqual(["Service shop/web cannot be read and is left out: spec.ports must be a list"]);
    expect(world.state.malformedObjects).toBe(1);
    expect([...world.state.keys("Service")]).toEqual(["shop/web"]);
    expect(world.rules("web")).toEqual([]);
    world.service("web", "10.96.0.10");
    expect(world.state.malformedObjects).toBe(0);
    expect(world.rules("web")).toHaveLength(1);
  });

  it("is ready once all kinds have been delivered (row 11)", () => {
    const { state } = new World();
    for (const kind of ["Service", "EndpointSlice", "ServiceCIDR"] as const) state.synced(kind);
    expect(state.ready).toBe(false);
    state.synced("Node");
    expect(state.ready).toBe(true);
  });

  it("tells facts of the node and of service ranges by family, and when they change", () => {
    const world = new World().serviceCIDR("10.96.0.0/12", "fd00:96::/112");
    world.node({ addresses: ["192.0.2.1", "2001:db8::1"], podCIDRs: ["10.244.1.0/24", "fd00:1::/64"], zone: "z1" });
    const first = world.state.take();
    expect(first.factsChanged).toBe(true);
    expect(first.tables.get(6)).toEqual({
      services: new Map(),
      serviceCIDRs: ["fd00:96::/112"],
      node: { addresses: ["2001:db8::1"], podCIDRs: ["fd00:1::/64"] },
    });
    expect(world.state.take().factsChanged).toBe(false);
    world.node({ addresses: ["192.0.2.1", "2001:db8::1"], podCIDRs: ["10.244.2.0/24", "fd00:1::/64"], zone: "z1" });
    expect(world.state.take()).toMatchObject({ factsChanged: true });
    world.state.delete("Node", "here");
    expect(world.state.node).toBeUndefined();
    expect(world.state.take().tables.get(4)?.node).toEqual({ addresses: [], podCIDRs: [] });
  });

  it("plans all services again when the node's zone becomes known", () => {
    const world = new World().service("web", "10.96.0.10");
    world.slice("web-1", "web", [
      { ip: "10.244.1.2", zones: ["z1"] },
      { ip: "10.244.2.2", zones: ["z2"] },
    ]);
    expect(places(world.rules("web")[0]?.endpoints)).toHaveLength(2);
    world.node({ zone: "z2" });
    const pending = world.state.take();
    expect(world.changed(pending)).toEqual(["shop/web"]);
    expect(places(world.rules("web")[0]?.endpoints)).toEqual(["10.244.2.2:8080"]);
  });

  it("gives the trigger time of each slice that changed since the start", () => {
    const world = new World({ startedAt: Date.UTC(2024, 0, 1) });
    const slice = (ip: string, time: string) => {
      const annotations = { "endpoints.kubernetes.io/last-change-trigger-time": time };
      const metadata = {
        namespace: "shop",
        name: "web-1",
        labels: { "kubernetes.io/service-name": "web" },
        annotations,
      };
      world.slice("web-1", "web", [{ ip }], { metadata });
    };
    slice("10.244.1.2", "2023-12-31T00:00:00Z");
    expect(world.state.take().triggers).toEqual([]);
    slice("10.244.1.3", "2024-01-02T00:00:00Z");
    expect(world.state.take().triggers).toEqual([Date.UTC(2024, 0, 2)]);
  });
});

describe("health checks", () => {
  const spec = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 32000 };

  it("count distinct ready addresses on this node; terminating ones do not count", () => {
    const ports = {
      ports: [
        { name: "a", port: 1 },
        { name: "b", port: 2 },
      ],
    };
    const world = new World().service("web", "10.96.0.10", { ...spec, ...ports });
    const endpoints = [
      { ip: "10.244.1.2", node: "here" },
      { ip: "10.244.1.3", node: "here", ready: false, serving: true, terminating: true },
      { ip: "10.244.2.2", node: "there" },
    ];
    world.slice("web-1", "web", endpoints, ports);
    expect(world.state.take().healthChecks.get("shop/web")).toEqual({ port: 32000, localEndpoints: 1 });
    world.slice("web-1", "web", [], ports);
    expect(world.state.take().healthChecks.get("shop/web")).toEqual({ port: 32000, localEndpoints: 0 });
    world.state.delete("Service", "shop/web");
    expect(world.state.take().healthChecks.size).toBe(0);
  });

  it("are told apart from services that lack local endpoints, which are counted by policy", () => {
    const world = new World().service("web", "10.96.0.10", spec, {
      status: { loadBalancer: { ingress: [{ ip: "192.0.2.9" }] } },
    });
    world.service("in", "10.96.0.11", { internalTrafficPolicy: "Local" });
    for (const name of ["web", "in"]) world.slice(`${name}-1`, name, [{ ip: "10.244.2.2", node: "there" }]);
    expect(world.state.take().noLocalEndpoints).toEqual({ internal: 1, external: 1 });
    world.slice("in-1", "in", [{ ip: "10.244.2.2", node: "here" }]);
    world.state.delete("Service", "shop/web");
    expect(world.state.take().noLocalEndpoints).toEqual({ internal: 0, external: 0 });
  });
});

describe("UDP flows to clean up", () => {
  const dns = { ports: [{ name: "dns", protocol: "UDP", port: 53, nodePort: 30053 }] };
  const slicePorts = { ports: [{ name: "dns", protocol: "UDP", port: 5353 }] };
  const frontends = [
    { address: "10.96.0.10", port: 53 },
    { address: "", port: 30053 },
  ];

  function world(): World {
    const made = new World().service("dns", "10.96.0.10", dns);
    made.slice(
      "dns-1",
      "dns",
      [{ ip: "10.244.1.2" }, { ip: "10.244.1.3", ready: false, terminating: true }],
      slicePorts,
    );
    return made;
  }

  it("are those of a service that is new, whatever they led to before (row 1)", () => {
    const serving = [
      { address: "10.244.1.2", port: 5353 },
      { address: "10.244.1.3", port: 5353 },
    ];
    expect(world().state.take().udp.get(4)).toEqual([{ frontends, serving }]);
  });

  it("are told when a serving endpoint goes, not when one stops being ready but serves", () => {
    const made = world();
    made.state.take();
    made.slice(
      "dns-1",
      "dns",
      [
        { ip: "10.244.1.2", ready: false, terminating: true },
        { ip: "10.244.1.3", ready: false, terminating: true },
      ],
      slicePorts,
    );
    expect(made.state.take().udp.get(4)).toEqual([]);
    made.slice("dns-1", "dns", [{ ip: "10.244.1.2" }], slicePorts);
    expect(made.state.take().udp.get(4)).toEqual([{ frontends, serving: [{ address: "10.244.1.2", port: 5353 }] }]);
  });

  it("are all of them when no endpoint is left, and when the service goes (row 2)", () => {
    const made = world();
    made.state.take();
    made.slice("dns-1", "dns", [], slicePorts);
    expect(made.state.take().udp.get(4)).toEqual([{ frontends, serving: [] }]);
    made.state.delete("Service", "shop/dns");
    expect(made.state.take().udp.get(4)).toEqual([{ frontends, serving: [] }]);
  });

  it("are those of an address that the service no longer has, and of one that it gained", () => {
    const made = world();
    made.state.take();
    made.service("dns", "10.96.0.10", { ports: [{ name: "dns", protocol: "UDP", port: 54, nodePort: 30053 }] });
    const serving = [
      { address: "10.244.1.2", port: 5353 },
      { address: "10.244.1.3", port: 5353 },
    ];
    expect(made.state.take().udp.get(4)).toEqual([
      {
        frontends: [
          { address: "10.96.0.10", port: 54 },
          { address: "", port: 30053 },
        ],
        serving,
      },
      { frontends: [{ address: "10.96.0.10", port: 53 }], serving: [] },
    ]);
  });

  it("are kept when only the port's name changes", () => {
    const made = world();
    made.state.take();
    made.service("dns", "10.96.0.10", { ports: [{ name: "d", protocol: "UDP", port: 53, nodePort: 30053 }] });
    made.slice("dns-1", "dns", [{ ip: "10.244.1.2" }], { ports: [{ name: "d", protocol: "UDP", port: 5353 }] });
    expect(made.state.take().udp.get(4)).toEqual([{ frontends, serving: [{ address: "10.244.1.2", port: 5353 }] }]);
  });
});
