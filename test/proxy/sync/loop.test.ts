import { expect, test } from "vitest";
import type { Pending } from "../../../proxy/state/pending.ts";
import { type FamilyResult, FamilySync } from "../../../proxy/sync/family.ts";
import { SyncLoop } from "../../../proxy/sync/loop.ts";
import { fakeClock, idle } from "../../lib/daemon/clock.ts";
import { added, FakeBackend, logged, pendingOf, tableOf } from "./backend.ts";

function opened({ minSyncPeriod = 0, families = [4] }: { minSyncPeriod?: number; families?: (4 | 6)[] } = {}) {
  const clock = fakeClock();
  const { log } = logged();
  const backends = families.map((family) => new FakeBackend(family));
  const parts = backends.map((backend) => new FamilySync({ backend, log, clock, syncPeriod: 30_000, random: () => 1 }));
  const there = new Set<string>();
  const dirty = new Set<string>();
  const results: (readonly FamilyResult[])[] = [];
  const gate = { ready: true };
  const take = (): Pending => {
    const changes = added(...dirty);
    dirty.clear();
    return pendingOf(tableOf([...there]), changes);
  };
  const loop = new SyncLoop({
    ...{ families: parts, minSyncPeriod, clock, take },
    ready: () => gate.ready,
    synced: (_, result) => results.push(result),
  });
  const add = (name: string) => {
    there.add(name);
    dirty.add(name);
    loop.request();
  };
  return { clock, backends, parts, loop, results, gate, add };
}

test("row 11: nothing is written before everything is known, then all at once", async () => {
  const { clock, backends, gate, add, loop } = opened();
  gate.ready = false;
  add("a");
  add("b");
  await clock.pass(10_000);
  expect(backends[0]?.calls).toEqual([]);
  gate.ready = true;
  loop.request();
  await clock.pass(0);
  expect(backends[0]?.calls).toEqual(["replace a b", "sweep"]);
});

test("the first change goes out at once, those that arrive while it is written in one batch", async () => {
  const { clock, backends, add } = opened();
  const [backend] = backends;
  add("a");
  await clock.pass(0);
  const gate = Promise.withResolvers<void>();
  if (backend !== undefined) backend.gate = gate.promise;
  add("b");
  await clock.pass(0);
  for (let i = 0; i < 1000; i++) add(`c${i % 3}`);
  await clock.pass(50);
  expect(backend?.calls).toEqual(["replace a", "sweep", "update b"]);
  gate.resolve();
  await idle();
  await clock.pass(0);
  expect(backend?.calls).toEqual(["replace a", "sweep", "update b", "update c0 c1 c2"]);
});

test("minSyncPeriod lies between the end of a sync and the next one, but not before the first", async () => {
  const { clock, backends, add } = opened({ minSyncPeriod: 1000 });
  add("a");
  await clock.pass(0);
  expect(backends[0]?.calls).toEqual(["replace a", "sweep"]);
  add("b");
  await clock.pass(999);
  add("c");
  expect(backends[0]?.calls).toHaveLength(2);
  await clock.pass(1);
  expect(backends[0]?.calls.slice(2)).toEqual(["update b c"]);
  await clock.pass(5000);
  add("d");
  await clock.pass(0);
  expect(backends[0]?.calls.slice(3)).toEqual(["update d"]);
});

test("a sync that finds nothing to write does not hold up the next one", async () => {
  const { clock, backends, add, loop } = opened({ minSyncPeriod: 1000 });
  add("a");
  await clock.pass(2000);
  loop.request();
  await clock.pass(1);
  add("b");
  await clock.pass(0);
  expect(backends[0]?.calls.slice(2)).toEqual(["update b"]);
});

test("a storm of changes makes few transactions", async () => {
  const { clock, backends, add } = opened({ minSyncPeriod: 100 });
  for (let i = 0; i < 5000; i++) {
    add(`s${i}`);
    if (i % 50 === 0) await clock.pass(1);
  }
  await clock.pass(1000);
  expect(backends[0]?.calls.filter((call) => !call.startsWith("sweep")).length).toBeLessThan(5);
  expect(backends[0]?.services.size).toBe(5000);
});

test("a family that fails does not stop the other, and is tried again by itself", async () => {
  const { clock, backends, add, results } = opened({ families: [4, 6] });
  const [four, six] = backends;
  if (four !== undefined) four.failing = 1;
  add("a");
  await clock.pass(0);
  expect(results[0]?.map(({ kind }) => kind)).toEqual(["failed", "full"]);
  add("b");
  await clock.pass(0);
  expect(results[1]?.map(({ kind }) => kind)).toEqual(["postponed", "partial"]);
  await clock.pass(100);
  expect(results[2]?.map(({ kind }) => kind)).toEqual(["full", "none"]);
  expect(four?.services).toEqual(six?.services);
});

test("stale rules are removed once after each whole load, when nothing waits, or at last in spite of a storm", async () => {
  const { clock, backends, add } = opened();
  const [backend] = backends;
  let more = 40;
  const replace = backend?.update.bind(backend);
  if (backend !== undefined && replace !== undefined) {
    backend.update = (table, changes) => {
      if (more-- > 0) add(`s${more}`);
      return replace(table, changes);
    };
  }
  add("a");
  add("b");
  const whole = backend?.replace.bind(backend);
  if (backend !== undefined && whole !== undefined) {
    backend.replace = (table) => {
      add("c");
      return whole(table);
    };
  }
  await clock.pass(0);
  await clock.pass(1000);
  expect(backend?.calls.filter((call) => call === "sweep")).toHaveLength(1);
  expect(backend?.calls.indexOf("sweep")).toBeLessThan(20);
});

test("settled waits for everything that was asked for", async () => {
  const { clock, backends, add, loop } = opened({ minSyncPeriod: 1000 });
  add("a");
  await clock.pass(0);
  add("b");
  let settled = false;
  void loop.settled().then(() => {
    settled = true;
  });
  await clock.pass(500);
  expect(settled).toBe(false);
  await clock.pass(500);
  expect(settled).toBe(true);
  expect(backends[0]?.services.size).toBe(2);
});

test("a loop that is stopped finishes the call that runs and begins nothing", async () => {
  const { clock, backends, add, loop } = opened({ families: [4, 6] });
  const gate = Promise.withResolvers<void>();
  const [four, six] = backends;
  if (four !== undefined) four.gate = gate.promise;
  add("a");
  await clock.pass(0);
  let stopped = false;
  void loop.stop().then(() => {
    stopped = true;
  });
  await idle();
  expect(stopped).toBe(false);
  gate.resolve();
  await idle();
  expect(stopped).toBe(true);
  add("b");
  await clock.pass(10_000);
  expect(four?.calls).toEqual(["replace a"]);
  expect(six?.calls).toEqual([]);
});
