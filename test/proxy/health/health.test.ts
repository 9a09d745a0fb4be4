import { expect, test } from "vitest";
import { ProxyHealth } from "../../../proxy/health/health.ts";
import type { NodeObject } from "../../../proxy/objects/objects.ts";

const NODE: NodeObject = {
  name: "n1",
  addresses: [],
  podCIDRs: [],
  zone: undefined,
  deleting: false,
  leaving: false,
};

function opened() {
  const at: { now: number; node: NodeObject | undefined } = { now: Date.UTC(2026, 0, 1), node: NODE };
  const health = new ProxyHealth({ timeout: 60_000, now: () => at.now, node: () => at.node });
  return { at, health };
}

test("healthy while nothing waits for too long, and again once it was brought", () => {
  const { at, health } = opened();
  expect(health.healthy).toBe(true);
  health.queued(4);
  at.now += 59_000;
  health.queued(4);
  expect(health.healthy).toBe(true);
  at.now += 1000;
  expect(health.healthy).toBe(false);
  health.updated(4);
  expect(health.healthy).toBe(true);
});

test("one family that is stuck makes the proxy unhealthy, and says which", () => {
  const { at, health } = opened();
  health.updated(4);
  health.updated(6);
  health.queued(6);
  at.now += 60_000;
  health.updated(4);
  expect(health.live()).toEqual({
    lastUpdated: "2026-01-01T00:01:00.000Z",
    currentTime: "2026-01-01T00:01:00.000Z",
    healthy: false,
    status: {
      IPv4: { lastUpdated: "2026-01-01T00:01:00.000Z", healthy: true },
      IPv6: { lastUpdated: "2026-01-01T00:00:00.000Z", healthy: false },
    },
  });
});

test("row 17: a node that drains, is being deleted or is gone fails /healthz, and never /livez", () => {
  const { at, health } = opened();
  health.updated(4);
  expect(health.ready()).toMatchObject({ passes: true, answer: { healthy: true, nodeEligible: true } });
  for (const node of [undefined, { ...NODE, deleting: true }, { ...NODE, leaving: true }]) {
    at.node = node;
    expect(health.ready()).toMatchObject({ passes: false, answer: { healthy: true, nodeEligible: false } });
    expect(health.live()).not.toHaveProperty("nodeEligible");
    expect(health.live().healthy).toBe(true);
  }
});

test("before the first sync it is healthy, and tells no time of one", () => {
  const { health, at } = opened();
  expect(health.live()).toMatchObject({ healthy: true, status: {} });
  health.queued(4);
  at.now += 120_000;
  expect(health.live()).toMatchObject({ healthy: false, lastUpdated: "0001-01-01T00:00:00Z" });
});
