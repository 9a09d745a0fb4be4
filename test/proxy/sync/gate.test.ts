import { expect, test } from "vitest";
import type { NodeObject } from "../../../proxy/objects/objects.ts";
import { Gate } from "../../../proxy/sync/gate.ts";
import { fakeClock } from "../../lib/daemon/clock.ts";
import { logged } from "./backend.ts";

const NODE: NodeObject = {
  name: "n1",
  addresses: ["192.168.0.1"],
  podCIDRs: [],
  zone: undefined,
  deleting: false,
  leaving: false,
};

function opened(patience: { addresses: number; podCIDRs: number | undefined }) {
  const clock = fakeClock();
  const known: { delivered: boolean; node: NodeObject | undefined; awaits: boolean } = {
    delivered: true,
    node: undefined,
    awaits: false,
  };
  const heard: string[] = [];
  const gate = new Gate({
    ...{ patience, clock, log: logged().log },
    delivered: () => known.delivered,
    node: () => known.node,
    awaitsPodCIDR: () => known.awaits,
    opened: () => heard.push("opened"),
    gaveUp: (error) => heard.push(error.message),
  });
  return { clock, known, gate, heard };
}

test("row 11: closed until all objects are in", () => {
  const { gate, known } = opened({ addresses: 0, podCIDRs: undefined });
  known.delivered = false;
  expect(gate.open).toBe(false);
  known.delivered = true;
  expect(gate.open).toBe(true);
});

test("the Node's addresses are waited for, but not for ever", async () => {
  const { gate, clock, heard } = opened({ addresses: 30_000, podCIDRs: 300_000 });
  expect(gate.open).toBe(false);
  await clock.pass(29_999);
  expect(gate.open).toBe(false);
  await clock.pass(1);
  expect(heard).toEqual(["opened"]);
  expect(gate.open).toBe(true);
});

test("a Node that has addresses opens it, once and for all", async () => {
  const { gate, clock, known, heard } = opened({ addresses: 30_000, podCIDRs: 300_000 });
  expect(gate.open).toBe(false);
  known.node = NODE;
  expect(gate.open).toBe(true);
  known.node = undefined;
  expect(gate.open).toBe(true);
  await clock.pass(400_000);
  expect(heard).toEqual(["opened"]);
});

test("podCIDRs that are needed are waited for, and in the end given up on, with the way out", async () => {
  const { gate, clock, known, heard } = opened({ addresses: 30_000, podCIDRs: 300_000 });
  known.awaits = true;
  known.node = NODE;
  expect(gate.open).toBe(false);
  await clock.pass(330_000);
  expect(gate.open).toBe(false);
  expect(heard.at(-1)).toContain("--allocate-node-cidrs");
});
