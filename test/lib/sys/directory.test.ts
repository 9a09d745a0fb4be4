import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeDirectory } from "../../../lib/sys/files.ts";

test("a directory is made with its parents, and made again with no complaint", () => {
  const root = mkdtempSync(join(tmpdir(), "tsnet-directory-"));
  try {
    const path = join(root, "a/b/c");
    makeDirectory(path);
    makeDirectory(path);
    expect(statSync(path).isDirectory()).toBe(true);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("a directory that cannot be made below one that is there is an error that names it", () => {
  expect(() => makeDirectory("/proc/tsnet/a")).toThrow(/make directory \/proc\/tsnet.*ENOENT/);
});
