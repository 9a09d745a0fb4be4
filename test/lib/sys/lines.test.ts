import { expect, test } from "vitest";
import { runLines } from "../../../lib/sys/run.ts";

async function lines(script: string, enough = Number.POSITIVE_INFINITY) {
  const seen: string[] = [];
  const ended = await runLines("sh", ["-c", script], (line) => {
    seen.push(line);
    return seen.length < enough;
  });
  return { seen, ...ended };
}

test("an output comes line by line, its last one with or without an end", async () => {
  expect(await lines("echo one; printf 'two\\n\\nthr'; echo oops >&2; printf ee; exit 3")).toEqual({
    seen: ["one", "two", "", "three"],
    exitCode: 3,
    stderr: "oops\n",
    stopped: false,
  });
});

test("characters of several bytes survive wherever the output is cut", async () => {
  const { seen } = await lines("for i in $(seq 9000); do echo 'ä€😀ä€😀ä€😀'; done");
  expect(seen).toHaveLength(9000);
  expect(new Set(seen)).toEqual(new Set(["ä€😀ä€😀ä€😀"]));
});

test("who has heard enough ends the program", async () => {
  const { seen, stopped } = await lines("while :; do echo more; done", 5);
  expect([seen.length, stopped]).toEqual([5, true]);
});

test("a program that is not there is named", async () => {
  await expect(runLines("no-such-program", [], () => true)).rejects.toMatchObject({ code: "not-found" });
});
