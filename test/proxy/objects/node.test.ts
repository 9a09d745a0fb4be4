import { describe, expect, it } from "vitest";
import { parseNode } from "../../../proxy/objects/node.ts";
import { parseServiceCidr } from "../../../proxy/objects/servicecidr.ts";

const address = (type: string, text: string) => ({ type, address: text });

describe("a Node", () => {
  it("is cut down to what its proxy uses", () => {
    const raw = {
      metadata: {
        name: "n1",
        labels: { "topology.kubernetes.io/zone": "z1" },
        deletionTimestamp: "2024-01-01T00:00:00Z",
      },
      spec: {
        podCIDR: "10.244.1.0/24",
        podCIDRs: ["10.244.1.0/24", "fd00:1::/64"],
        taints: [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }],
      },
      status: { addresses: [address("Hostname", "n1"), address("InternalIP", "192.0.2.1")] },
    };
    expect(parseNode(raw)).toEqual({
      name: "n1",
      addresses: ["192.0.2.1"],
      podCIDRs: ["10.244.1.0/24", "fd00:1::/64"],
      zone: "z1",
      deleting: true,
      leaving: true,
    });
  });

  it("may lack all but its name", () => {
    expect(parseNode({ metadata: { name: "n1" } })).toEqual({
      name: "n1",
      addresses: [],
      podCIDRs: [],
      zone: undefined,
      deleting: false,
      leaving: false,
    });
  });

  it("has one address a family, internal ones first", () => {
    const addresses = [
      address("ExternalIP", "203.0.113.1"),
      address("ExternalIP", "2001:db8::1"),
      address("InternalIP", "192.0.2.1"),
      address("InternalIP", "192.0.2.2"),
    ];
    expect(parseNode({ metadata: { name: "n1" }, status: { addresses } }).addresses).toEqual([
      "192.0.2.1",
      "2001:db8::1",
    ]);
  });

  it("has the pod range of podCIDR where podCIDRs is not there", () => {
    expect(parseNode({ metadata: { name: "n1" }, spec: { podCIDR: "10.244.1.0/24" } }).podCIDRs).toEqual([
      "10.244.1.0/24",
    ]);
  });
});

describe("a ServiceCIDR", () => {
  it("is its ranges", () => {
    const raw = { metadata: { name: "kubernetes" }, spec: { cidrs: ["10.96.0.0/12", "fd00:96::/112"] } };
    expect(parseServiceCidr(raw)).toEqual({ name: "kubernetes", cidrs: ["10.96.0.0/12", "fd00:96::/112"] });
  });

  it("that cannot be read is refused", () => {
    expect(() => parseServiceCidr({ metadata: { name: "x" }, spec: { cidrs: ["10.96.0.0"] } })).toThrow(
      'spec.cidrs[0]: invalid CIDR address: "10.96.0.0"',
    );
  });
});
