/**
 * Gets the programs that tests and benches compare with: the reference plugins and cnitool, built by Go from
 * the versions that go.mod pins, once.
 *
 *     bun test/cluster/build.ts
 *
 * Where Go is missing or cannot build, the plugins of Debian's package containernetworking-plugins take their
 * place: an older version, and no cnitool.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { allThere, buildTools } from "./go.ts";

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
const DEBIAN = "/usr/lib/cni";
// What Debian's package has in every version.
const PLUGINS = ["bridge", "host-local", "loopback", "portmap", "firewall", "bandwidth", "tuning"];
const OTHERS = ["dhcp", "dummy", "host-device", "ipvlan", "macvlan", "ptp", "sbr", "static", "tap", "vlan", "vrf"];
const PROGRAMS = [...PLUGINS, ...OTHERS, "cnitool"];

/**
 * Builds the reference programs if need be and says where they are.
 *
 * @throws TsnetError `not-found` if there is neither a working Go nor Debian's package.
 */
export async function referencePrograms(): Promise<ReferencePrograms> {
  try {
    await buildTools({ module: HERE, into: BUILT, programs: PROGRAMS });
  } catch (error) {
    return await debianPlugins(error);
  }
  const versions = await pinnedVersions();
  return { directory: BUILT, origin: `built by Go from ${versions}`, cnitool: join(BUILT, "cnitool") };
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
