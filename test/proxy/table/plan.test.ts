import { describe, expect, it } from "vitest";
import type { PortRules } from "../../../proxy/table/types.ts";
import { places, World } from "../state/world.ts";

const HERE = { ip: "10.244.1.2", node: "here" };
const THERE = { ip: "10.244.2.2", node: "there" };

function balanced(spec: object = {}, ingress: readonly object[] = [{ ip: "192.0.2.9" }]) {
  return [
    { type: "LoadBalancer", ports: [{ port: 80, nodePort: 30080 }], ...spec },
    { status: { loadBalancer: { ingress } } },
  ] as const;
}

describe("the rules of a service port", () => {
  it("has its frontends in both families, each address in its own", () => {
    const spec = { clusterIPs: ["10.96.0.10", "fd00:96::10"], externalIPs: ["203.0.113.7", "2001:db8::7"] };
    const world = new World().service(
      "web",
      "10.96.0.10",
      ...balanced(spec, [{ ip: "192.0.2.9" }, { ip: "2001:db8::9" }]),
    );
    const { tables } = world.state.take();
    const frontends = (family: 4 | 6) =>
      tables
        .get(family)
        ?.services.get("shop/web")?.[0]
        ?.frontends.map(({ kind, address, port }) => `${kind} ${address} ${port}`);
    expect(frontends(4)).toEqual([
      "clusterIP 10.96.0.10 80",
      "loadBalancer 192.0.2.9 80",
      "externalIP 203.0.113.7 80",
      "nodePort  30080",
    ]);
    expect(frontends(6)).toEqual([
      "clusterIP fd00:96::10 80",
      "loadBalancer 2001:db8::9 80",
      "externalIP 2001:db8::7 80",
      "nodePort  30080",
    ]);
  });

  it("of a service without a cluster IP of the family are none", () => {
    const world = new World().service("web", "10.96.0.10", ...balanced({}, [{ ip: "2001:db8::9" }]));
    expect(world.rules("web", 6)).toEqual([]);
  });

  it("have the internal policy on the cluster IP and the external one elsewhere", () => {
    const world = new World().service("web", "10.96.0.10", ...balanced({ externalTrafficPolicy: "Local" }));
    world.slice("web-1", "web", [HERE, THERE]);
    const [rules] = world.rules("web");
    expect(rules?.frontends.map(({ policy }) => policy)).toEqual(["Cluster", "Local", "Local"]);
    expect(places(rules?.endpoints)).toEqual(["10.244.1.2:8080*", "10.244.2.2:8080"]);
    expect(places(rules?.local)).toEqual(["10.244.1.2:8080*"]);
  });

  it("name the health-check node port once for the service", () => {
    const ports = [
      { name: "a", port: 80 },
      { name: "b", port: 81 },
    ];
    const spec = { externalTrafficPolicy: "Local", healthCheckNodePort: 32000, ports };
    const world = new World().service("web", "10.96.0.10", ...balanced(spec));
    expect(world.rules("web").map(({ healthCheckNodePort }) => healthCheckNodePort)).toEqual([32000, undefined]);
  });

  it("with internal policy Local keep the Cluster set for external clients only", () => {
    const world = new World().service("in", "10.96.0.10", { internalTrafficPolicy: "Local" });
    world.service("web", "10.96.0.11", { internalTrafficPolicy: "Local", externalIPs: ["203.0.113.7"] });
    for (const name of ["in", "web"]) world.slice(`${name}-1`, name, [THERE]);
    expect(world.rules("in")).toMatchObject([{ endpoints: [], local: [], served: true }]);
    expect(world.rules("web")).toMatchObject([{ endpoints: [{ address: "10.244.2.2" }], local: [], served: true }]);
  });

  it("take endpoints by port name and protocol, each slice's port number its own", () => {
    const ports = {
      ports: [
        { name: "http", port: 80 },
        { name: "dns", port: 53, protocol: "UDP" },
      ],
    };
    const world = new World().service("web", "10.96.0.10", ports);
    world.slice("web-1", "web", [{ ip: "10.244.1.2" }], {
      ports: [
        { name: "http", port: 8080 },
        { name: "dns", port: 53, protocol: "TCP" },
      ],
    });
    world.slice("web-2", "web", [{ ip: "10.244.1.3" }], { ports: [{ name: "http", port: 9090 }] });
    const [http, dns] = world.rules("web");
    expect(http?.name).toBe("shop/web:http");
    expect(places(http?.endpoints)).toEqual(["10.244.1.2:8080", "10.244.1.3:9090"]);
    expect(dns).toMatchObject({ name: "shop/web:dns", protocol: "udp", endpoints: [], served: false });
  });

  it("believe of two endpoints at one address the one that is not terminating, then the one on this node", () => {
    const world = new World().service("web", "10.96.0.10", {
      internalTrafficPolicy: "Local",
      externalIPs: ["203.0.113.7"],
    });
    world.slice("web-1", "web", [{ ip: "10.244.1.2", node: "there" }]);
    world.slice("web-2", "web", [{ ip: "10.244.1.2", node: "here", ready: false, terminating: true }]);
    expect(places(world.rules("web")[0]?.endpoints)).toEqual(["10.244.1.2:8080"]);
    world.slice("web-2", "web", [{ ip: "10.244.1.2", node: "here" }]);
    expect(places(world.rules("web")[0]?.endpoints)).toEqual(["10.244.1.2:8080*"]);
  });

  it("stay the same objects where nothing changed in them", () => {
    const ports = {
      ports: [
        { name: "a", port: 1 },
        { name: "b", port: 2 },
      ],
    };
    const world = new World().service("web", "10.96.0.10", ports);
    world.slice("web-1", "web", [{ ip: "10.244.1.2" }], ports);
    const [a, b] = world.rules("web");
    world.slice("web-1", "web", [{ ip: "10.244.1.2" }], {
      ports: [
        { name: "a", port: 1 },
        { name: "b", port: 3 },
      ],
    });
    const [sameA, otherB] = world.rules("web");
    expect(sameA).toBe(a);
    expect(otherB).not.toBe(b);
    expect(otherB?.frontends).toBe(b?.frontends);
  });

  it("keep an endpoint's index while others come and go", () => {
    const world = new World().service("web", "10.96.0.10");
    const rules = (...ips: readonly number[]) => {
      world.slice(
        "web-1",
        "web",
        ips.map((ip) => ({ ip: `10.244.1.${ip}` })),
      );
      return world.rules("web")[0]?.endpoints.map(({ address }) => Number(address.split(".")[3]));
    };
    expect(rules(3, 2, 4)).toEqual([2, 3, 4]);
    expect(rules(4, 1, 3)).toEqual([1, 3, 4]);
    expect(rules(3, 4)).toEqual([4, 3]);
    expect(rules(3, 4, 2)).toEqual([4, 3, 2]);
  });
});

describe("source ranges", () => {
  const ranges = (
    list: readonly string[],
    nodes: readonly string[] = [],
    ingress: readonly object[] = [{ ip: "192.0.2.9" }],
  ) => {
    const world = new World().node({ addresses: nodes });
    world.service(
      "web",
      "10.96.0.10",
      ...balanced({ clusterIPs: ["10.96.0.10", "fd00:96::10"], loadBalancerSourceRanges: list }, ingress),
    );
    const { tables } = world.state.take();
    return ([4, 6] as const).flatMap((family) =>
      (tables.get(family)?.services.get("shop/web")?.[0]?.frontends ?? []).map(({ kind, sourceRanges }) => [
        kind,
        sourceRanges,
      ]),
    );
  };

  it("are on load-balancer addresses alone", () => {
    expect(ranges(["198.51.100.0/24"])).toEqual([
      ["clusterIP", undefined],
      ["loadBalancer", ["198.51.100.0/24"]],
      ["nodePort", undefined],
      ["clusterIP", undefined],
      ["nodePort", undefined],
    ]);
  });

  it("of one family do not restrict the other", () => {
    const both = ranges(["198.51.100.0/24"], [], [{ ip: "192.0.2.9" }, { ip: "2001:db8::9" }]);
    expect(both.filter(([kind]) => kind === "loadBalancer")).toEqual([
      ["loadBalancer", ["198.51.100.0/24"]],
      ["loadBalancer", undefined],
    ]);
  });

  it("that hold the whole family restrict nobody, and one inside another says nothing", () => {
    expect(ranges(["198.51.100.0/24", "0.0.0.0/0"])[1]).toEqual(["loadBalancer", undefined]);
    expect(ranges(["198.51.100.128/25", "198.51.100.0/24", "10.0.0.0/8"])[1]).toEqual([
      "loadBalancer",
      ["198.51.100.0/24", "10.0.0.0/8"],
    ]);
  });

  it("that hold the node's address hold the load balancer's own", () => {
    expect(ranges(["198.51.100.0/24"], ["198.51.100.1"])[1]).toEqual([
      "loadBalancer",
      ["198.51.100.0/24", "192.0.2.9/32"],
    ]);
    expect(ranges(["192.0.2.0/24"], ["192.0.2.1"])[1]).toEqual(["loadBalancer", ["192.0.2.0/24"]]);
  });

  it("cannot be got round by an external IP that is the load balancer's", () => {
    const world = new World().service(
      "web",
      "10.96.0.10",
      ...balanced({ loadBalancerSourceRanges: ["198.51.100.0/24"], externalIPs: ["192.0.2.9"] }),
    );
    expect(world.rules("web")[0]?.frontends.filter(({ address }) => address === "192.0.2.9")).toEqual([
      { kind: "loadBalancer", address: "192.0.2.9", port: 80, policy: "Cluster", sourceRanges: ["198.51.100.0/24"] },
    ]);
    expect(world.warnings).toEqual([]);
  });
});

describe("two services that claim one address", () => {
  const shared = { externalIPs: ["203.0.113.7"] };
  const OLD = { created: "2020-01-01T00:00:00Z" };
  const YOUNG = { created: "2024-01-01T00:00:00Z" };

  function owner(world: World, address: string): readonly string[] {
    const services = world.state.take().tables.get(4)?.services ?? new Map<string, readonly PortRules[]>();
    return [...services].flatMap(([key, rules]) =>
      rules.some(({ frontends }) => frontends.some((each) => each.address === address)) ? [key] : [],
    );
  }

  it("leave it to the older one, whichever was seen first, and the warning names both", () => {
    const world = new World().service("a", "10.96.0.1", shared, YOUNG);
    expect(owner(world, "203.0.113.7")).toEqual(["shop/a"]);
    world.service("b", "10.96.0.2", shared, OLD);
    expect(owner(world, "203.0.113.7")).toEqual(["shop/b"]);
    expect(world.warnings).toEqual([
      "shop/a and shop/b both claim 203.0.113.7 port 80/tcp: shop/b has it, change one of them",
    ]);
    expect(world.rules("a")[0]?.frontends).toHaveLength(1);
  });

  it("leave it by name where age does not tell", () => {
    const world = new World().service("b", "10.96.0.2", shared).service("a", "10.96.0.1", shared);
    expect(owner(world, "203.0.113.7")).toEqual(["shop/a"]);
  });

  it("take turns: when the one that has it goes or gives it up, the next one gets it", () => {
    const world = new World();
    for (const name of ["a", "b", "c"]) world.service(name, `10.96.0.${name.charCodeAt(0)}`, shared);
    expect(owner(world, "203.0.113.7")).toEqual(["shop/a"]);
    world.state.delete("Service", "shop/a");
    expect(owner(world, "203.0.113.7")).toEqual(["shop/b"]);
    world.service("b", "10.96.0.98");
    expect(owner(world, "203.0.113.7")).toEqual(["shop/c"]);
    expect(world.warnings).toHaveLength(2);
  });

  it("never take a cluster IP from the service that it belongs to, however old they are", () => {
    const world = new World().service("a", "10.96.0.1", { externalIPs: ["10.96.0.2"] }, OLD);
    world.service("b", "10.96.0.2", {}, YOUNG);
    expect(owner(world, "10.96.0.2")).toEqual(["shop/b"]);
  });

  it("may have it on different ports or protocols", () => {
    const world = new World().service("a", "10.96.0.1", shared);
    world.service("b", "10.96.0.2", { ...shared, ports: [{ port: 81 }] });
    world.service("c", "10.96.0.3", { ...shared, ports: [{ port: 80, protocol: "UDP" }] });
    expect(owner(world, "203.0.113.7")).toEqual(["shop/a", "shop/b", "shop/c"]);
    expect(world.warnings).toEqual([]);
  });

  it("as a cluster IP leave one of them without rules, and that one gets them later", () => {
    const world = new World().service("a", "10.96.0.1").service("b", "10.96.0.1", shared);
    world.service("c", "10.96.0.3", shared, YOUNG);
    expect(owner(world, "10.96.0.1")).toEqual(["shop/a"]);
    expect(owner(world, "203.0.113.7")).toEqual(["shop/c"]);
    world.state.delete("Service", "shop/a");
    expect(owner(world, "203.0.113.7")).toEqual(["shop/b"]);
    expect(world.rules("c")[0]?.frontends).toHaveLength(1);
  });

  it("as a node port leave it to one", () => {
    const spec = { type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] };
    const world = new World().service("a", "10.96.0.1", spec).service("b", "10.96.0.2", spec);
    expect(owner(world, "")).toEqual(["shop/a"]);
    expect(world.warnings).toEqual([
      "shop/b and shop/a both claim node port 30080/tcp: shop/a has it, change one of them",
    ]);
  });

  it("that are two ports of one service leave it to the first", () => {
    const world = new World().service("a", "10.96.0.1", {
      ports: [
        { name: "x", port: 80 },
        { name: "y", port: 80 },
      ],
    });
    expect(world.rules("a").map(({ name }) => name)).toEqual(["shop/a:x"]);
    expect(world.warnings).toEqual([
      "two ports of shop/a claim 10.96.0.1 port 80/tcp: the first has it, change one of them",
    ]);
  });
});
