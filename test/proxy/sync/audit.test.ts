import { expect, test } from "vitest";
import { Auditor, type AuditResult } from "../../../proxy/sync/audit.ts";
import { FamilySync } from "../../../proxy/sync/family.ts";
import { fakeClock } from "../../lib/daemon/clock.ts";
import { added, FakeBackend, logged, tableOf } from "./backend.ts";

const PERIOD = 300_000;

async function opened() {
  const clock = fakeClock();
  const { log, lines } = logged();
  const backend = new FakeBackend();
  const family = new FamilySync({ backend, log, clock, syncPeriod: 30_000, random: () => 1 });
  await family.sync(tableOf(["a"]), added("a"), true);
  const results: (readonly [AuditResult, number])[] = [];
  let requests = 0;
  const auditor = new Auditor({
    ...{ families: [family], clock, log, period: PERIOD, random: () => 0 },
    audited: (_, result, found) => results.push([result, found.length]),
    request: () => {
      requests++;
    },
  });
  return { clock, lines, backend, family, auditor, results, requests: () => requests };
}

test("row 14: an audit that finds something missing has everything put in place, and tells what it was", async () => {
  const { auditor, backend, family, results, requests, lines } = await opened();
  backend.found = ["endpoint 10.0.0.1:80 of a is missing"];
  expect(await auditor.run()).toEqual(["repaired"]);
  expect(results).toEqual([["repaired", 1]]);
  expect(requests()).toBe(1);
  expect(lines.join("")).toContain("endpoint 10.0.0.1:80 of a is missing");
  expect(await family.sync(tableOf(["a"]), new Map(), false)).toMatchObject({ kind: "full" });
});

test("row 14: audits come from time to time", async () => {
  const { auditor, clock, results } = await opened();
  auditor.start();
  await clock.pass(PERIOD / 2);
  expect(results).toEqual([["clean", 0]]);
  await clock.pass(2 * PERIOD);
  expect(results).toHaveLength(3);
  auditor.stop();
  await clock.pass(2 * PERIOD);
  expect(results).toHaveLength(3);
});

test("what an audit finds while something is written is worth nothing: it is repeated soon", async () => {
  const { auditor, backend, family, clock, results, requests } = await opened();
  const gate = Promise.withResolvers<void>();
  backend.auditGate = gate.promise;
  backend.found = ["half of it"];
  auditor.start();
  await clock.pass(PERIOD / 2);
  await family.sync(tableOf(["a", "b"]), added("b"), false);
  gate.resolve();
  await clock.pass(0);
  expect(results).toEqual([["overtaken", 0]]);
  expect(requests()).toBe(0);
  backend.found = [];
  await clock.pass(10_000);
  expect(results).toEqual([
    ["overtaken", 0],
    ["clean", 0],
  ]);
});

test("an audit that fails is a warning, and the next one comes", async () => {
  const { auditor, backend, lines, results, clock } = await opened();
  backend.audit = () => Promise.reject(new Error("no answer"));
  auditor.start();
  await clock.pass(PERIOD * 2);
  expect(results.slice(0, 2)).toEqual([
    ["failed", 0],
    ["failed", 0],
  ]);
  expect(lines.join("")).toContain("no answer");
});
