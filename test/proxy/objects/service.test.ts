import { describe, expect, it } from "vitest";
import { parseService } from "../../../proxy/objects/service.ts";

const metadata = { namespace: "shop", name: "web" };

function service(spec: object, status: object = {}, more: object = {}): unknown {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { ...metadata, ...more },
    spec: { clusterIP: "10.96.0.10", clusterIPs: ["10.96.0.10"], ports: [{ port: 80 }], ...spec },
    status,
  };
}

function withProblems(raw: unknown): { readonly parsed: unknown; readonly problems: readonly string[] } {
  const problems: string[] = [];
  return { parsed: parseService(raw, (text) => problems.push(text)), problems };
}

describe("a Service", () => {
  it("is cut down to what is programmed, with the API's defaults", () => {
    expect(parseService(service({}))).toEqual({
      namespace: "shop",
      name: "web",
      createdAt: 0,
      clusterIPs: ["10.96.0.10"],
      ports: [{ name: "", protocol: "tcp", port: 80, nodePort: undefined }],
      externalIPs: [],
      loadBalancerIPs: [],
      sourceRanges: [],
      healthCheckNodePort: undefined,
      internalPolicy: "Cluster",
      externalPolicy: "Cluster",
      affinitySeconds: undefined,
    });
  });

  it("keeps every field that a proxy honours", () => {
    const raw = service(
      {
        type: "LoadBalancer",
        clusterIPs: ["10.96.0.10", "FD00:0::10"],
        ipFamilies: ["IPv4", "IPv6"],
        ports: [
          { name: "http", port: 80, targetPort: 8080, nodePort: 30080, appProtocol: "http" },
          { name: "dns", protocol: "UDP", port: 53, nodePort: 0 },
          { name: "sig", protocol: "SCTP", port: 3868 },
        ],
        externalIPs: ["203.0.113.7", "2001:DB8::7"],
        loadBalancerSourceRanges: [" 198.51.100.7/24 ", "2001:db8:1::/48"],
        healthCheckNodePort: 32000,
        internalTrafficPolicy: "Local",
        externalTrafficPolicy: "Local",
        sessionAffinity: "ClientIP",
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      },
      {
        loadBalancer: {
          ingress: [
            { ip: "192.0.2.1" },
            { ip: "192.0.2.2", ipMode: "Proxy" },
            { ip: "192.0.2.3", ipMode: "VIP" },
            { hostname: "lb.example" },
          ],
        },
      },
      { creationTimestamp: "2024-01-01T00:00:00Z" },
    );
    expect(parseService(raw)).toEqual({
      namespace: "shop",
      name: "web",
      createdAt: Date.UTC(2024, 0, 1),
      clusterIPs: ["10.96.0.10", "fd00::10"],
      ports: [
        { name: "http", protocol: "tcp", port: 80, nodePort: 30080 },
        { name: "dns", protocol: "udp", port: 53, nodePort: undefined },
        { name: "sig", protocol: "sctp", port: 3868, nodePort: undefined },
      ],
      externalIPs: ["203.0.113.7", "2001:db8::7"],
      loadBalancerIPs: ["192.0.2.1", "192.0.2.3"],
      sourceRanges: ["198.51.100.0/24", "2001:db8:1::/48"],
      healthCheckNodePort: 32000,
      internalPolicy: "Local",
      externalPolicy: "Local",
      affinitySeconds: 60,
    });
  });

  it.each([
    ["headless", service({ clusterIP: "None", clusterIPs: ["None"] })],
    ["without an address as yet", service({ clusterIP: "", clusterIPs: [] })],
    ["of type ExternalName, even with an address", service({ type: "ExternalName", externalName: "example" })],
    ["another proxy's", service({}, {}, { labels: { "service.kubernetes.io/service-proxy-name": "" } })],
  ])("that is %s is none to program", (_, raw) => {
    expect(parseService(raw)).toBeUndefined();
  });

  it("has its address in clusterIP alone where a manifest says no more", () => {
    expect(parseService(service({ clusterIPs: undefined }))?.clusterIPs).toEqual(["10.96.0.10"]);
  });

  it("stays with an endpoint for three hours unless it says otherwise", () => {
    expect(parseService(service({ sessionAffinity: "ClientIP" }))?.affinitySeconds).toBe(10800);
  });

  it("has an external policy only if clients can come from outside", () => {
    const policy = (spec: object) => parseService(service({ externalTrafficPolicy: "Local", ...spec }))?.externalPolicy;
    expect(policy({})).toBe("Cluster");
    expect(policy({ externalIPs: ["203.0.113.7"] })).toBe("Local");
    expect(policy({ type: "NodePort" })).toBe("Local");
  });

  it("has a health check only as a load balancer with external policy Local", () => {
    const port = (spec: object) => parseService(service({ healthCheckNodePort: 32000, ...spec }))?.healthCheckNodePort;
    expect(port({ type: "NodePort", externalTrafficPolicy: "Local" })).toBeUndefined();
    expect(port({ type: "LoadBalancer", externalTrafficPolicy: "Cluster" })).toBeUndefined();
    expect(port({ type: "LoadBalancer", externalTrafficPolicy: "Local" })).toBe(32000);
  });

  it("of an old cluster may have addresses with leading zeros, which are decimal", () => {
    const raw = service({
      clusterIPs: ["010.096.000.010"],
      loadBalancerSourceRanges: ["010.0.0.0/08", "10.1.0.00/16"],
    });
    expect(withProblems(raw)).toMatchObject({
      parsed: { clusterIPs: ["10.96.0.10"], sourceRanges: ["10.1.0.0/16"] },
      problems: [expect.stringContaining("spec.loadBalancerSourceRanges[0]")],
    });
  });

  it("loses a bad optional entry and keeps the others, and each is told", () => {
    const raw = service(
      {
        externalIPs: ["203.0.113.7", "", "203.0.113.256", "203.0.113.7"],
        loadBalancerSourceRanges: ["10.0.0.0/33", "10.0.0.0/8"],
        ports: [
          { name: "a", port: 1 },
          { name: "a", port: 2 },
        ],
      },
      { loadBalancer: { ingress: [{ ip: "here" }, { ip: "192.0.2.1" }] } },
    );
    const { parsed, problems } = withProblems(raw);
    expect(parsed).toMatchObject({
      externalIPs: ["203.0.113.7"],
      sourceRanges: ["10.0.0.0/8"],
      loadBalancerIPs: ["192.0.2.1"],
      ports: [{ name: "a", port: 1 }],
    });
    expect(problems).toEqual([
      'status.loadBalancer.ingress[0]: invalid IP address: "here"',
      'spec.ports[1].name: another port has the name "a"',
      'spec.externalIPs[2]: invalid IP address: "203.0.113.256"',
      'spec.loadBalancerSourceRanges[0]: invalid CIDR address: "10.0.0.0/33"',
    ]);
  });

  it.each([
    ["must be an object, not a list", []],
    ["metadata.name is missing", { metadata: {}, spec: { clusterIP: "10.96.0.10" } }],
    ['spec must be an object, not "x"', { metadata, spec: "x" }],
    ["spec.ports must be a list, not an object", service({ ports: {} })],
    [
      "spec.ports[1].port must be a whole number from 0 to 65535, not 65536",
      service({ ports: [{ port: 1 }, { port: 65536 }] }),
    ],
    ["spec.ports[0].port is missing", service({ ports: [{ name: "a" }] })],
    ['spec.ports[0].protocol must be TCP, UDP, SCTP, not "tcp"', service({ ports: [{ port: 1, protocol: "tcp" }] })],
    ["spec.ports[0]: must be an object, not 80", service({ ports: [80] })],
    ['spec.clusterIPs[0]: invalid IP address: "10.96"', service({ clusterIPs: ["10.96"] })],
    [
      'spec.type must be ClusterIP, NodePort, LoadBalancer, ExternalName, not "Nodeport"',
      service({ type: "Nodeport" }),
    ],
    ['spec.internalTrafficPolicy must be Cluster, Local, not "local"', service({ internalTrafficPolicy: "local" })],
    [
      "spec.sessionAffinityConfig.clientIP.timeoutSeconds must be a whole number from 1 to 86400, not 0",
      service({ sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } }),
    ],
    [
      "spec.loadBalancerSourceRanges has no valid CIDR, and without any all clients would be let in",
      service({ loadBalancerSourceRanges: ["10.0.0.0"] }),
    ],
  ])("that cannot be read is refused: %s", (message, raw) => {
    expect(() => parseService(raw)).toThrow(expect.objectContaining({ code: "invalid", message }));
  });
});
