import { expect, test } from "vitest";
import { FamilySync } from "../../../proxy/sync/family.ts";
import { type FakeClock, fakeClock } from "../../lib/daemon/clock.ts";
import { added, FakeBackend, logged, tableOf } from "./backend.ts";

const NONE = new Map();

function opened(backend = new FakeBackend(), clock: FakeClock = fakeClock()) {
  const { log, lines } = logged();
  const family = new FamilySync({ backend, log, clock, syncPeriod: 30_000, random: () => 1 });
  return { backend, clock, lines, family };
}

test("the first sync puts everything in place, those that follow bring changes alone", async () => {
  const { family, backend } = opened();
  expect(await family.sync(tableOf(["a", "b"]), added("a", "b"), true)).toMatchObject({ kind: "full", written: 2 });
  expect(await family.sync(tableOf(["a", "b", "c"]), added("c"), false)).toMatchObject({ kind: "partial", written: 1 });
  expect(await family.sync(tableOf(["a", "b", "c"]), NONE, false)).toMatchObject({ kind: "none" });
  expect(backend.calls).toEqual(["replace a b", "update c"]);
});

test("row 13: with nothing to program the first sync puts that in place, since an earlier life may have left something", async () => {
  const { family, backend } = opened();
  await family.sync(tableOf([]), NONE, true);
  expect(backend.calls).toEqual(["replace"]);
});

test("changed facts put everything in place", async () => {
  const { family, backend } = opened();
  await family.sync(tableOf(["a"]), added("a"), true);
  await family.sync(tableOf(["a"]), NONE, true);
  expect(backend.calls).toEqual(["replace a", "replace a"]);
});

test("row 7: after a failure everything is put in place, soon and then less often, sooner if changes wait", async () => {
  const { family, backend, clock } = opened();
  await family.sync(tableOf(["a"]), added("a"), true);
  backend.failing = 3;
  expect(await family.sync(tableOf(["a", "b"]), added("b"), false)).toMatchObject({ kind: "failed" });
  expect(family.retryAt).toBe(100);
  expect(await family.sync(tableOf(["a", "b"]), NONE, false)).toMatchObject({ kind: "postponed" });
  await clock.pass(100);
  backend.failing = 99;
  expect(await family.sync(tableOf(["a", "b"]), NONE, false)).toMatchObject({ kind: "failed" });
  expect(family.retryAt).toBe(300);
  for (let failures = 2; failures < 12; failures++) {
    await clock.pass((family.retryAt ?? 0) - clock.now());
    await family.sync(tableOf(["a", "b"]), NONE, false);
  }
  expect((family.retryAt ?? 0) - clock.now()).toBe(30_000);
  expect(await family.sync(tableOf(["a", "c"]), added("c"), false)).toMatchObject({ kind: "postponed" });
  expect((family.retryAt ?? 0) - clock.now()).toBe(1000);
  await clock.pass(1000);
  backend.failing = 0;
  backend.calls.length = 0;
  expect(await family.sync(tableOf(["a", "c"]), NONE, false)).toMatchObject({ kind: "full" });
  expect(backend.calls).toEqual(["replace a c"]);
  expect(family.retryAt).toBeUndefined();
});

test("row 12: in a big table of a new node the API server comes first", async () => {
  const names = ["default/kubernetes", ...Array.from({ length: 1500 }, (_, i) => `ns/${i}`)];
  const { family, backend } = opened();
  await family.sync(tableOf(names), added(...names), true);
  expect(backend.calls.map((call) => call.slice(0, 31))).toEqual([
    "replace default/kubernetes",
    "replace default/kubernetes ns/0",
  ]);
  family.invalidate("taken away");
  await family.sync(tableOf(names), NONE, false);
  expect(backend.calls).toHaveLength(3);
});

test("rows 12, 13: where an earlier life's rules are in place, nothing comes first, as that would take the others away", async () => {
  const names = ["default/kubernetes", ...Array.from({ length: 1500 }, (_, i) => `ns/${i}`)];
  const { family, backend } = opened();
  backend.isPresent = true;
  await family.sync(tableOf(names), added(...names), true);
  expect(backend.calls).toHaveLength(1);
});

test("a service that the kernel refuses is found, named and left out, and the others are never without rules", async () => {
  const { family, backend, clock, lines } = opened();
  const names = Array.from({ length: 100 }, (_, i) => `ns/${i}`);
  await family.sync(tableOf(names), added(...names), true);
  backend.poisoned.add("ns/bad");
  const table = tableOf([...names, "ns/bad", "ns/good"]);
  expect(await family.sync(table, added("ns/bad", "ns/good"), false)).toMatchObject({ kind: "failed" });
  await clock.pass(100);
  const seen: number[] = [];
  const replace = backend.replace.bind(backend);
  backend.replace = async (wanted) => {
    const applied = await replace(wanted);
    seen.push(wanted.services.size);
    return applied;
  };
  const result = await family.sync(table, NONE, false);
  expect(result).toMatchObject({ kind: "full", refused: new Map([["ns/bad", "the kernel refuses ns/bad"]]) });
  expect(Math.min(...seen)).toBe(100);
  expect(backend.services).toEqual(new Set([...names, "ns/good"]));
  expect(lines.join("")).toContain("service=ns/bad");
});

test("a refused service is left out of what follows, until it changes", async () => {
  const { family, backend, clock } = opened();
  backend.poisoned.add("bad");
  await family.sync(tableOf(["a", "bad", "b"]), added("a", "bad", "b"), true);
  await clock.pass(100);
  expect(await family.sync(tableOf(["a", "bad", "b"]), NONE, false)).toMatchObject({ kind: "full" });
  expect(backend.services).toEqual(new Set(["a", "b"]));
  expect(await family.sync(tableOf(["a", "bad", "b", "c"]), added("c"), false)).toMatchObject({ kind: "partial" });
  expect(backend.services).toEqual(new Set(["a", "b", "c"]));
  backend.poisoned.clear();
  expect(await family.sync(tableOf(["a", "bad", "b", "c"]), added("bad"), false)).toMatchObject({ kind: "partial" });
  expect(backend.services).toEqual(new Set(["a", "b", "c", "bad"]));
  expect(family.refused.size).toBe(0);
});

test("a refused service is forgiven when whatever refused it may have passed, and costs the others nothing if not", async () => {
  const { family, backend, clock } = opened();
  backend.poisoned.add("bad");
  const table = tableOf(["a", "b", "c", "d", "bad"]);
  await family.sync(table, added("a", "b", "c", "d", "bad"), true);
  await clock.pass(100);
  await family.sync(table, NONE, false);
  expect(family.refused.size).toBe(1);
  expect(family.forgive()).toBe(true);
  const replaced: number[] = [];
  const replace = backend.replace.bind(backend);
  backend.replace = async (wanted) => {
    const applied = await replace(wanted);
    replaced.push(wanted.services.size);
    return applied;
  };
  await family.sync(table, NONE, false);
  await clock.pass(100);
  expect(await family.sync(table, NONE, false)).toMatchObject({ kind: "full" });
  expect(family.refused.size).toBe(1);
  expect(Math.min(...replaced)).toBe(4);
  backend.poisoned.clear();
  expect(family.forgive()).toBe(true);
  await family.sync(table, NONE, false);
  expect(backend.services.size).toBe(5);
  expect(family.forgive()).toBe(false);
});

test("a refused service that changes while its family waits for the next try is tried with it", async () => {
  const { family, backend, clock } = opened();
  backend.poisoned.add("bad");
  await family.sync(tableOf(["a", "bad"]), added("a", "bad"), true);
  await clock.pass(100);
  await family.sync(tableOf(["a", "bad"]), NONE, false);
  backend.poisoned.clear();
  backend.failing = 1;
  expect(await family.sync(tableOf(["a", "bad", "b"]), added("b"), false)).toMatchObject({ kind: "failed" });
  expect(await family.sync(tableOf(["a", "bad", "b"]), added("bad"), false)).toMatchObject({ kind: "postponed" });
  await clock.pass(100);
  await family.sync(tableOf(["a", "bad", "b"]), NONE, false);
  expect(backend.services).toEqual(new Set(["a", "b", "bad"]));
});

test("when everything is refused, no service is blamed", async () => {
  const { family, backend, clock } = opened();
  const names = Array.from({ length: 50 }, (_, i) => `ns/${i}`);
  backend.failing = Number.POSITIVE_INFINITY;
  await family.sync(tableOf(names), added(...names), true);
  await clock.pass(100);
  expect(await family.sync(tableOf(names), NONE, false)).toMatchObject({ kind: "failed", refused: new Map() });
  expect(backend.calls.length).toBeLessThan(100);
});

test("damage that is noticed while something is written is not forgotten when that goes through", async () => {
  const { family, backend } = opened();
  await family.sync(tableOf(["a"]), added("a"), true);
  const gate = Promise.withResolvers<void>();
  backend.gate = gate.promise;
  const syncing = family.sync(tableOf(["a", "b"]), added("b"), false);
  expect(family.settled).toBe(false);
  family.invalidate("taken away");
  gate.resolve();
  await syncing;
  expect(family.settled).toBe(false);
  expect(await family.sync(tableOf(["a", "b"]), NONE, false)).toMatchObject({ kind: "full" });
  expect(family.settled).toBe(true);
});
