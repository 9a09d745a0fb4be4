/**
 * Programs that tests and benches compare with, built by Go from a module beside this file that pins them: once,
 * into a folder that git ignores.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TsnetError } from "../../lib/errors.ts";
import { lockFile } from "../../lib/sys/files.ts";
import { run } from "../../lib/sys/run.ts";

export interface GoBuild {
  /** The folder of go.mod, whose `tool` lines are what is built. */
  readonly module: string;
  /** Where the programs are put. */
  readonly into: string;
  readonly programs: readonly string[];
  /** Told before a build starts, as one takes a while. */
  readonly starting?: () => void;
}

/**
 * Builds the programs of a module, unless go.mod, go.sum and all programs are as they were.
 *
 * @throws TsnetError `not-found` if there is no Go; `program` if the build fails.
 */
export async function buildTools(wanted: GoBuild): Promise<void> {
  const fingerprint = await fingerprintOf(wanted.module);
  await mkdir(wanted.into, { recursive: true });
  // Test files run side by side, and the first of them builds for all.
  const lock = lockFile(join(wanted.into, ".lock"));
  try {
    if (await upToDate(wanted, fingerprint)) return;
    wanted.starting?.();
    await build(wanted);
    await writeFile(stampOf(wanted), fingerprint);
  } finally {
    lock.release();
  }
}

/** Whether `directory` has all the files of `names`. */
export async function allThere(directory: string, names: readonly string[]): Promise<boolean> {
  const found = names.map((name) =>
    access(join(directory, name)).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(found)).every(Boolean);
}

function stampOf({ into }: GoBuild): string {
  return join(into, ".built-from");
}

async function fingerprintOf(module: string): Promise<string> {
  const hash = createHash("sha256").update(process.arch);
  for (const file of ["go.mod", "go.sum"]) hash.update(await readFile(join(module, file)));
  return hash.digest("hex");
}

async function upToDate(wanted: GoBuild, fingerprint: string): Promise<boolean> {
  const built = await readFile(stampOf(wanted), "utf8").catch(() => "");
  return built === fingerprint && (await allThere(wanted.into, wanted.programs));
}

async function build(wanted: GoBuild): Promise<void> {
  await rm(stampOf(wanted), { force: true });
  const go = ["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", `${wanted.into}/`, "tool"];
  // Distributions keep Go from fetching the newer Go that a module asks for; that one is pinned, too, by go.mod.
  const env = { GOTOOLCHAIN: "auto", ...process.env, CGO_ENABLED: "0" };
  const { exitCode, stderr } = await run("go", go, { cwd: wanted.module, env });
  if (exitCode !== 0) {
    throw new TsnetError(`go build failed in ${wanted.module}: ${stderr.trim()}`, { code: "program", op: "go build" });
  }
}
