/**
 * Builds the one executable: esbuild makes CommonJS files of it, Bun compiles them with their byte code.
 *
 *     npm run build                      dist/tsnet; dist/kube-proxy, dist/flanneld and dist/cni/<plugin>, hard links to it
 *     npm run build -- --all             also dist/<target>/tsnet for arm64 and musl
 *
 * @module
 */

import { linkSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { execa } from "execa";
import { isPluginName, pluginNames } from "../plugins/names.ts";
import { etcdProtocol } from "./etcd-proto.ts";
import { netlinkAsModules } from "./netlink-esm.ts";
import { importAtOnce, pluginEntries, pluginModules } from "./plugin-bundles.ts";

const TARGETS = ["bun-linux-x64", "bun-linux-arm64", "bun-linux-x64-musl", "bun-linux-arm64-musl"];
const BUNDLES = "dist/.bundle";
// Files of their own: a call that needs none of them does not even define their functions. Each is complete in
// itself, so at most one of those with our code is loaded by a process, but for the daemons': the command hands them
// plain data, and an error class of one is none of the other's.
const APART: Readonly<Record<string, { readonly name: string; readonly file: string }>> = {
  "./command.ts": { name: "command", file: "cli/command.ts" },
  "../proxy/main.ts": { name: "proxy", file: "proxy/main.ts" },
  "./helper.ts": { name: "helper", file: "cli/helper.ts" },
  "../overlay/main.ts": { name: "overlay", file: "overlay/main.ts" },
  "../plugins/dhcp/daemon/main.ts": { name: "dhcp-daemon", file: "plugins/dhcp/daemon/main.ts" },
  execa: { name: "execa", file: "execa" },
  "@homebridge/dbus-native": { name: "dbus", file: "@homebridge/dbus-native" },
};

const COMMON = {
  outdir: BUNDLES,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "esnext",
  supported: { "dynamic-import": false },
  minify: true,
  external: ["bun", "bun:*"],
  legalComments: "none",
  logLevel: "warning",
} as const satisfies BuildOptions;

const apart: Plugin = {
  name: "apart",
  setup(build) {
    build.onResolve({ filter: /^(\.\.?\/.+\.ts|execa|@homebridge\/dbus-native)$/ }, ({ path, kind }) => {
      const part = kind === "dynamic-import" ? APART[path] : undefined;
      return part === undefined ? undefined : { path: `./${part.name}.cjs`, external: true };
    });
  },
};

await bundle();
await compile("dist/tsnet");
linkNames();
if (process.argv.includes("--all")) {
  for (const target of TARGETS) await compile(`dist/${target.replace("bun-", "")}/tsnet`, target);
}

async function bundle(): Promise<void> {
  const parts = Object.values(APART).map(({ name, file }) => [name, file]);
  rmSync(BUNDLES, { recursive: true, force: true });
  const plugins = [pluginModules, apart, netlinkAsModules, etcdProtocol];
  await build({ ...COMMON, entryPoints: { main: "cli/main.ts", ...Object.fromEntries(parts) }, plugins });
  const flat = [importAtOnce(Object.keys(APART)), ...plugins];
  await build({ ...COMMON, entryPoints: pluginEntries, plugins: flat });
}

/**
 * The two --no-compile-autoload flags are for safety: without them the executable, run as root, loads
 * bunfig.toml and .env from the working directory of whoever calls it.
 */
async function compile(outfile: string, target?: string): Promise<void> {
  // Written beside and renamed: the executable of a running call cannot be overwritten.
  const temporary = `${outfile}.new`;
  const args = [
    "build",
    `${BUNDLES}/main.cjs`,
    "--compile",
    "--minify",
    "--bytecode",
    "--format=cjs",
    `--outfile=${temporary}`,
  ];
  const safety = ["--no-compile-autoload-bunfig", "--no-compile-autoload-dotenv"];
  await execa(process.execPath, [...args, ...safety, ...(target === undefined ? [] : [`--target=${target}`])]);
  renameSync(temporary, outfile);
}

/** Each name is replaced at once: a plugin that is called meanwhile is the old one or the new one. */
function linkNames(): void {
  mkdirSync("dist/cni", { recursive: true });
  for (const name of readdirSync("dist/cni")) if (!isPluginName(name)) rmSync(`dist/cni/${name}`);
  // Daemons are no plugins: a runtime that lists the folder must not find them there.
  for (const path of ["dist/kube-proxy", "dist/flanneld", ...pluginNames.map((name) => `dist/cni/${name}`)]) {
    rmSync(`${path}.new`, { force: true });
    linkSync("dist/tsnet", `${path}.new`);
    renameSync(`${path}.new`, path);
  }
}
