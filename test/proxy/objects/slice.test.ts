import { describe, expect, it } from "vitest";
import { parseSlice } from "../../../proxy/objects/slice.ts";

const labels = { "kubernetes.io/service-name": "web" };

function slice(fields: object, metadata: object = {}): unknown {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { namespace: "shop", name: "web-x", labels, ...metadata },
    addressType: "IPv4",
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints: [],
    ...fields,
  };
}

describe("an EndpointSlice", () => {
  it("is cut down to what is programmed", () => {
    const raw = slice(
      {
        ports: [
          { name: "http", port: 8080 },
          { name: "dns", protocol: "UDP", port: 53 },
        ],
        endpoints: [
          {
            addresses: ["10.244.1.2", "10.244.1.3"],
            conditions: { ready: false, serving: true, terminating: true },
            nodeName: "n1",
            zone: "z9",
            hints: { forNodes: [{ name: "n1" }], forZones: [{ name: "z1" }, { name: "z2" }] },
            targetRef: { kind: "Pod", name: "web-1" },
          },
        ],
      },
      { annotations: { "endpoints.kubernetes.io/last-change-trigger-time": "2024-01-01T00:00:00.25Z" } },
    );
    expect(parseSlice(raw)).toEqual({
      namespace: "shop",
      name: "web-x",
      service: "web",
      family: 4,
      ports: [
        { name: "http", protocol: "tcp", port: 8080 },
        { name: "dns", protocol: "udp", port: 53 },
      ],
      endpoints: [
        {
          address: "10.244.1.2",
          ready: false,
          serving: true,
          terminating: true,
          node: "n1",
          hintedNodes: ["n1"],
          hintedZones: ["z1", "z2"],
        },
      ],
      triggeredAt: Date.UTC(2024, 0, 1) + 250,
    });
  });

  it.each([
    ["no conditions", { addresses: ["10.244.1.2"] }],
    ["null conditions", { addresses: ["10.244.1.2"], conditions: { ready: null, serving: null, terminating: null } }],
  ])("takes an endpoint with %s for ready, serving and not terminating", (_, endpoint) => {
    expect(parseSlice(slice({ endpoints: [endpoint] }))?.endpoints).toEqual([
      {
        address: "10.244.1.2",
        ready: true,
        serving: true,
        terminating: false,
        node: undefined,
        hintedNodes: undefined,
        hintedZones: undefined,
      },
    ]);
  });

  it("leaves out ports without a number", () => {
    const ports = [{ name: "a" }, { name: "b", port: null }, { name: "c", port: 0 }, { port: 80 }];
    expect(parseSlice(slice({ ports }))?.ports).toEqual([{ name: "", protocol: "tcp", port: 80 }]);
  });

  it("may have null for its lists", () => {
    expect(parseSlice(slice({ ports: null, endpoints: null }))).toMatchObject({ ports: [], endpoints: [] });
  });

  it.each([
    ["of names", slice({ addressType: "FQDN", endpoints: [{ addresses: ["example.org"] }] })],
    ["without a Service", slice({}, { labels: {} })],
    ["of a headless Service", slice({}, { labels: { ...labels, "service.kubernetes.io/headless": "" } })],
  ])("%s is none to program", (_, raw) => {
    expect(parseSlice(raw)).toBeUndefined();
  });

  it("loses an endpoint or port that cannot be read and keeps the others, and each is told", () => {
    const problems: string[] = [];
    const raw = slice({
      ports: [{ name: "a", port: -1 }, { port: 80 }],
      endpoints: [
        { addresses: [] },
        { addresses: ["fd00::1"] },
        { addresses: ["10.244.1.2"], conditions: { ready: "yes" } },
        { addresses: ["10.244.1.3"] },
      ],
    });
    expect(parseSlice(raw, (text) => problems.push(text))).toMatchObject({
      ports: [{ port: 80 }],
      endpoints: [{ address: "10.244.1.3" }],
    });
    expect(problems).toEqual([
      "ports[0].port must be a whole number from 0 to 65535, not -1",
      "endpoints[0].addresses[0]: must be an IP address, not null",
      "endpoints[1].addresses[0] is no IPv4 address: fd00::1",
      'endpoints[2].conditions.ready must be true or false, not "yes"',
    ]);
  });

  it.each([
    ["addressType is missing", slice({ addressType: undefined })],
    ['addressType must be IPv4, IPv6, FQDN, not "IP"', slice({ addressType: "IP" })],
    ["endpoints must be a list, not an object", slice({ endpoints: {} })],
    ["metadata.name is missing", slice({}, { name: undefined })],
    [
      "metadata.labels.kubernetes.io/service-name must be text, not 5",
      slice({}, { labels: { "kubernetes.io/service-name": 5 } }),
    ],
  ])("that cannot be read is refused: %s", (message, raw) => {
    expect(() => parseSlice(raw)).toThrow(expect.objectContaining({ code: "invalid", message }));
  });
});
