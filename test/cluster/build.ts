/**
 * Gets the programs that tests and benches compare with: the reference plugins and cnitool, built by Go from
 * the versions that go.mod pins, once.
 *
 *     bun test/cluster/build.ts
 *
 * The build is skipped while go.mod, go.sum and all programs are as they were. Where Go is missing or cannot
 * build, the plugins of Debian's package containernetworking-plugins take their place: an older version, and
 * no cnitool.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { lockFile } from "../../lib/sys/files.ts";
import { run } from "../../lib/sys/run.ts";

/** Where the programs are, and in words where they come from. */
export interface ReferencePrograms {
  /** A directory to put into CNI_PATH. */
  readonly directory: string;
  readonly origin: string;
  /** The path of cnitool; Debian's package has none. */
  readonly cnitool?: string;
}

const HERE = resolve(import.meta.dirname);
const BUILT = resolve(HERE, "../../.cache/go/bin");
const STAMP = join(BUILT, ".built-from");
const DEBIAN = "/usr/lib/cni";
const PLUGINS = ["bridge", "host-local", "loopback", "portmap", "firewall", "bandwidth", "tuning"] as const;
const PROGRAMS = [...PLUGINS, "cnitool"] as const;

/**
 * Builds the reference programs if need be and says where they are.
 *
 * @throws TsnetError `not-found` if there is neither a working Go nor Debian's package.
 */
export async function referencePrograms(): Promise<ReferencePrograms> {
  const wanted = await fingerprint();
  await mkdir(BUILT, { recursive: true });
  // Test files run side by side, and the first of them builds for all.
  const lock = lockFile(join(BUILT, ".lock"));
  try {
    if (!(await upToDate(wanted))) {
      await build();
      await writeFile(STAMP, wanted);
    }
  } catch (error) {
    return await debianPlugins(error);
  } finally {
    lock.release();
  }
  const versions = await pinnedVersions();
  return { directory: BUILT, origin: `built by Go from ${versions}`, cnitool: join(BUILT, "cnitool") };
}

async function fingerprint(): Promise<string> {
  const hash = createHash("sha256").update(process.arch);
  for (const file of ["go.mod", "go.sum"]) hash.update(await readFile(join(HERE, file)));
  return hash.digest("hex");
}

async function upToDate(wanted: string): Promise<boolean> {
  const built = await readFile(STAMP, "utf8").catch(() => "");
  return built === wanted && (await allThere(BUILT, PROGRAMS));
}

async function build(): Promise<void> {
  await rm(STAMP, { force: true });
  const go = ["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", `${BUILT}/`, "tool"];
  const { exitCode, stderr } = await run("go", go, { cwd: HERE, env: { ...process.env, CGO_ENABLED: "0" } });
  if (exitCode !== 0) {
    throw new TsnetError(`go build failed in ${HERE}: ${stderr.trim()}`, { code: "program", op: "go build" });
  }
}

async function debianPlugins(cause: unknown): Promise<ReferencePrograms> {
  const why = isTsnetError(cause, "not-found") ? "Go is not installed" : messageOf(cause);
  if (!(await allThere(DEBIAN, PLUGINS))) {
    throw new TsnetError(
      `no reference plugins to compare with: ${why}, and ${DEBIAN} has none. ` +
        "Install Go 1.24 or later, or Debian's containernetworking-plugins",
      { code: "not-found", op: "build reference plugins", cause },
    );
  }
  return { directory: DEBIAN, origin: `Debian's package in ${DEBIAN}, because: ${why}` };
}

async function allThere(directory: string, names: readonly string[]): Promise<boolean> {
  const found = names.map((name) =>
    access(join(directory, name)).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(found)).every(Boolean);
}

async function pinnedVersions(): Promise<string> {
  const lines = (await readFile(join(HERE, "go.mod"), "utf8")).matchAll(/containernetworking\/(\w+ v[\d.]+)/g);
  return [...lines].map((match) => match[1]).join(" and ");
}

if (import.meta.main) {
  try {
    const { directory, origin } = await referencePrograms();
    console.log(`${directory}: ${origin}`);
  } catch (error) {
    console.error(messageOf(error));
    process.exit(1);
  }
}
