import { expect, test } from "vitest";
import { openLog } from "../../lib/daemon/log.ts";
import { type Leftover, removeAll } from "../../proxy/cleanup.ts";

const leftover = (what: string, remove: () => Promise<boolean>): Leftover => ({ what, remove });

test("each is tried whatever became of the others, and what was removed and what was not is told", async () => {
  const lines: string[] = [];
  const log = openLog({ format: "text", verbosity: 0, write: (line) => lines.push(line.replace(/^\S+ /, "").trim()) });
  const failed = await removeAll(
    [
      leftover("chains of IPv4", async () => true),
      leftover("sets", async () => {
        throw new Error("in use");
      }),
      leftover("table ip x", async () => false),
      leftover("table ip6 x", async () => true),
    ],
    log,
  );

  expect(failed).toBe(1);
  expect(lines).toEqual([
    "INFO removed chains of IPv4",
    'ERROR could not remove sets reason="in use"',
    "INFO removed table ip6 x",
  ]);
});
