import { expect, test } from "vitest";
import type { NodeObject } from "../../../proxy/objects/objects.ts";
import { State } from "../../../proxy/state/state.ts";
import { NodeTap } from "../../../proxy/sync/nodetap.ts";

const NODE: NodeObject = {
  name: "n1",
  addresses: ["192.168.0.1"],
  podCIDRs: ["10.1.0.0/24"],
  zone: "a",
  deleting: false,
  leaving: false,
};

function opened(bound?: string) {
  const state = new State({
    ...{ nodeName: "n1", families: [4], log: () => {}, changed: () => {} },
    podCIDRs: (node) => node?.podCIDRs ?? [],
  });
  const adjust = (node: NodeObject) => (bound === undefined ? node : { ...node, addresses: [bound] });
  return { state, tap: new NodeTap({ to: state, nodeName: "n1", adjust }) };
}

test("rules keep to what the node was last known to have, health hears what is now", () => {
  const { state, tap } = opened();
  tap.set("Node", "n1", NODE);
  tap.set("Node", "n1", { ...NODE, addresses: [], podCIDRs: [], leaving: true });
  expect(state.node).toMatchObject({ addresses: ["192.168.0.1"], podCIDRs: ["10.1.0.0/24"] });
  expect(tap.node).toMatchObject({ addresses: [], leaving: true });
  tap.delete("Node", "n1");
  expect(state.node).toMatchObject({ addresses: ["192.168.0.1"] });
  expect(tap.node).toBeUndefined();
  expect([...tap.keys("Node")]).toEqual([]);
});

test("a new address and new podCIDRs of the node count", () => {
  const { state, tap } = opened();
  tap.set("Node", "n1", NODE);
  tap.set("Node", "n1", { ...NODE, addresses: ["192.168.0.2"], podCIDRs: ["10.1.1.0/24"] });
  expect(state.node).toMatchObject({ addresses: ["192.168.0.2"], podCIDRs: ["10.1.1.0/24"] });
});

test("bindAddress counts also where there is no Node, which is not eligible for that", () => {
  const { state, tap } = opened("192.168.0.9");
  tap.synced("Node");
  expect(state.node).toMatchObject({ name: "n1", addresses: ["192.168.0.9"] });
  expect(tap.node).toBeUndefined();
});

test("other nodes and other kinds pass it by", () => {
  const { state, tap } = opened();
  tap.set("Node", "n2", { ...NODE, name: "n2" });
  expect(tap.node).toBeUndefined();
  tap.set("ServiceCIDR", "kubernetes", { name: "kubernetes", cidrs: ["10.96.0.0/12"] });
  expect([...state.keys("ServiceCIDR")]).toEqual(["kubernetes"]);
});
