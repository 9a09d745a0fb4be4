/** Who holds a process by a descriptor hears of its end and learns its exit code without being the parent. */
import { expect, test } from "vitest";
import { endedAmong, endingOf, type HeldProcess, holdProcess } from "../../../lib/sys/pidfd.ts";
import { identify } from "../../../lib/sys/process.ts";

function held(pid: number): HeldProcess {
  const process = identify(pid);
  const one = process === undefined ? undefined : holdProcess(process);
  if (one === undefined) throw new Error(`process ${pid} is gone`);
  return one;
}

test.each([
  ["exit 7", 7],
  ["true", 0],
  ["kill -9 $$", 137],
])("%s ends with %i", async (line, code) => {
  const child = Bun.spawn(["sh", "-c", `read go; ${line}`], { stdin: "pipe" });
  const process = held(child.pid);
  expect(endedAmong([process])).toEqual([]);
  child.stdin.write("go\n");
  await child.stdin.end();
  await child.exited;
  expect(endedAmong([process])).toEqual([process]);
  expect(endingOf(process)).toEqual({ kind: "ended", code });
  process.close();
});

test("a process that is gone, or another that has its pid, cannot be held", async () => {
  const child = Bun.spawn(["sleep", "10"]);
  const process = identify(child.pid);
  if (process === undefined) throw new Error("no sleep");
  expect(holdProcess({ ...process, startTime: process.startTime - 1 })).toBeUndefined();
  child.kill();
  await child.exited;
  expect(holdProcess(process)).toBeUndefined();
});
