import { expect, test } from "vitest";
import { type LogOptions, openLog } from "../../../lib/daemon/log.ts";

function logged(options: Pick<LogOptions, "format" | "verbosity">) {
  const lines: string[] = [];
  return { lines, log: openLog({ ...options, write: (line) => lines.push(line) }) };
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /;

test("as text an event is one line: time, level, message and key=value, whatever the values hold", () => {
  const { lines, log } = logged({ format: "text", verbosity: 0 });
  log.info("synced", { family: 4, services: 12, gone: undefined });
  log.warn("cannot read\na Service", { reason: 'spec.ports: is "x"', list: ["a", "b"] });
  log.error("stopped", { path: "/run/x" });
  expect(lines[0]).toMatch(TIME);
  expect(lines.map((line) => line.replace(TIME, ""))).toEqual([
    "INFO synced family=4 services=12\n",
    'WARN cannot read\\na Service reason="spec.ports: is \\"x\\"" list=["a","b"]\n',
    "ERROR stopped path=/run/x\n",
  ]);
});

test("as JSON an event is one object", () => {
  const { lines, log } = logged({ format: "json", verbosity: 0 });
  log.info("synced", { family: 4 });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: "info",
    msg: "synced",
    family: 4,
    time: expect.any(String),
  });
});

test("what a higher verbosity is for is not written below it", () => {
  const { lines, log } = logged({ format: "text", verbosity: 2 });
  log.debug(2, "a sync");
  log.debug(4, "an object");
  expect(lines.map((line) => line.replace(TIME, ""))).toEqual(["DEBUG a sync v=2\n"]);
});
