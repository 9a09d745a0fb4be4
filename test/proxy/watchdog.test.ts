import { describe, expect, test } from "vitest";
import { FamilySync } from "../../proxy/sync/family.ts";
import { type RulesEvent, Watchdog } from "../../proxy/watchdog.ts";
import { fakeClock } from "../lib/daemon/clock.ts";
import { added, FakeBackend, logged, tableOf } from "./sync/backend.ts";

const FOREIGN: RulesEvent = { pid: 1, program: "nft" };
const OURS: RulesEvent = { pid: 2, program: "tsnet" };

async function opened({ canary = false } = {}) {
  const clock = fakeClock();
  const { log, lines } = logged();
  const backend = new FakeBackend();
  const family = new FamilySync({ backend, log, clock, syncPeriod: 30_000, random: () => 1 });
  await family.sync(tableOf(["a"]), added("a"), true);
  const heard: RulesEvent[] = [];
  const repaired: number[] = [];
  let looks = 0;
  const intact = backend.intact.bind(backend);
  backend.intact = () => {
    looks++;
    return intact();
  };
  const watchdog = new Watchdog({
    ...{ families: [family], clock, log, request: () => {} },
    events: canary ? undefined : { own: OURS, poll: () => heard.splice(0), close: () => {} },
    repaired: () => repaired.push(clock.now()),
  });
  watchdog.start();
  return { clock, lines, backend, family, heard, repaired, watchdog, looks: () => looks };
}

test("row 15: rules that somebody took away are to be put back within a second, and it is told who it was", async () => {
  const { clock, backend, heard, repaired, lines, family } = await opened();
  backend.isIntact = false;
  heard.push(FOREIGN);
  await clock.pass(1000);
  expect(repaired).toHaveLength(1);
  expect(family.settled).toBe(false);
  expect(lines.join("")).toContain("nft (pid 1)");
});

test("row 15: somebody who changes rules all the time does not keep ours from being put back", async () => {
  const { clock, backend, heard, repaired } = await opened();
  backend.isIntact = false;
  for (let i = 0; i < 20 && repaired.length === 0; i++) {
    heard.push(FOREIGN);
    await clock.pass(100);
  }
  expect(repaired[0]).toBeLessThanOrEqual(1500);
});

test("row 9: what others change of their own is looked at once, and left alone", async () => {
  const { clock, heard, repaired, looks } = await opened();
  for (let i = 0; i < 100; i++) heard.push(FOREIGN);
  await clock.pass(2000);
  expect(looks()).toBe(1);
  expect(repaired).toEqual([]);
});

test("what we write ourselves is no reason to look", async () => {
  const { clock, heard, looks } = await opened();
  heard.push(OURS);
  await clock.pass(2000);
  expect(looks()).toBe(0);
});

describe("another proxy of ours", () => {
  const RIVAL: RulesEvent = { ...OURS, pid: 3 };

  test("that takes the rules away, as `--cleanup` does, is somebody like others", async () => {
    const { clock, backend, family, heard, repaired } = await opened();
    backend.isIntact = false;
    backend.isPresent = false;
    for (const times of [1, 2, 3]) {
      heard.push(RIVAL);
      await clock.pass(1000);
      expect(repaired).toHaveLength(times);
      await family.sync(tableOf(["a"]), new Map(), false);
    }
  });

  test("that runs beside us is told of, and both do not write all the time", async () => {
    const { clock, backend, family, heard, repaired, lines } = await opened();
    backend.isIntact = false;
    backend.isPresent = true;
    for (let second = 0; second < 65; second++) {
      heard.push(RIVAL, FOREIGN);
      await clock.pass(1000);
      await family.sync(tableOf(["a"]), new Map(), false);
    }
    expect(repaired).toHaveLength(3);
    expect(lines.join("")).toContain("another proxy");
  });
});

test("row 15: where nobody tells of changes, the look is repeated each second", async () => {
  const { clock, backend, repaired, looks } = await opened({ canary: true });
  await clock.pass(3000);
  expect(looks()).toBe(3);
  backend.isIntact = false;
  await clock.pass(1000);
  expect(repaired).toHaveLength(1);
});

test("what changed because of a sync meanwhile is no damage", async () => {
  const { clock, backend, family, heard, repaired } = await opened();
  backend.intact = async () => {
    await family.sync(tableOf(["a", "b"]), added("b"), false);
    return false;
  };
  heard.push(FOREIGN);
  await clock.pass(1000);
  expect(repaired).toEqual([]);
});

test("a look that fails is a warning, and the watchdog goes on", async () => {
  const { clock, backend, heard, repaired, lines } = await opened();
  backend.intact = () => Promise.reject(new Error("no answer"));
  heard.push(FOREIGN);
  await clock.pass(1000);
  expect(lines.join("")).toContain("no answer");
  backend.intact = async () => false;
  heard.push(FOREIGN);
  await clock.pass(1000);
  expect(repaired).toHaveLength(1);
});
