import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { identityOf, stampOf, watchDirectory } from "../../../lib/sys/watch.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsnet-watch-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("a watched directory", () => {
  it("tells the names of entries that are written, renamed and removed, until it is closed", async () => {
    const names: (string | undefined)[] = [];
    const watch = watchDirectory(
      directory,
      (name) => names.push(name),
      (error) => expect.unreachable(error.message),
    );
    const tells = (name: string) => vi.waitFor(() => expect(names.splice(0)).toContain(name), 5000);
    writeFileSync(join(directory, "a"), "1");
    await tells("a");
    renameSync(join(directory, "a"), join(directory, "b"));
    await tells("b");
    rmSync(join(directory, "b"));
    await tells("b");
    watch.close();
  });

  it("that is not there is an error", () => {
    const missing = () => watchDirectory(join(directory, "x"), vi.fn(), vi.fn());
    expect(missing).toThrow(expect.objectContaining({ code: "not-found" }));
  });

  it("is another one after it was made anew, and nothing while it is away", () => {
    const before = identityOf(directory);
    renameSync(directory, `${directory}-old`);
    expect(identityOf(directory)).toBeUndefined();
    directory = `${directory}-old`;
    expect(identityOf(directory)).toBe(before);
  });
});

describe("a file's stamp", () => {
  it("changes when the file is replaced; what is no file has none", () => {
    const [path, other] = [join(directory, "a"), join(directory, "b")];
    writeFileSync(path, "1");
    writeFileSync(other, "1");
    const before = stampOf(path);
    expect(before).toBeDefined();
    renameSync(other, path);
    expect(stampOf(path)).not.toBe(before);
    expect(stampOf(directory)).toBeUndefined();
    expect(stampOf(other)).toBeUndefined();
  });
});
