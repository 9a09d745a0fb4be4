/**
 * Builds the one executable: esbuild makes a single CommonJS file of it, Bun compiles that with its byte code.
 *
 *     npm run build                      dist/tsnet and dist/cni/<plugin>, hard links to it
 *     npm run build -- --all             also dist/<target>/tsnet for arm64 and musl
 *
 * @module
 */
import { linkSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { build } from "esbuild";
import { execa } from "execa";
import { pluginNames } from "../plugins/names.ts";
import { netlinkAsModules } from "./netlink-esm.ts";

const TARGETS = ["bun-linux-x64", "bun-linux-arm64", "bun-linux-x64-musl", "bun-linux-arm64-musl"];
const BUNDLE = "dist/.bundle/tsnet.cjs";

await bundle();
await compile("dist/tsnet");
linkPlugins();
if (process.argv.includes("--all")) {
  for (const target of TARGETS) await compile(`dist/${target.replace("bun-", "")}/tsnet`, target);
}

async function bundle(): Promise<void> {
  mkdirSync("dist/.bundle", { recursive: true });
  await build({
    entryPoints: ["cli/main.ts"],
    outfile: BUNDLE,
    bundle: true,
    format: "cjs",
    platform: "node",
    target: "esnext",
    minify: true,
    external: ["bun", "bun:*"],
    legalComments: "none",
    logLevel: "warning",
    plugins: [netlinkAsModules],
  });
}

/**
 * The two --no-compile-autoload flags are for safety: without them the executable, run as root, loads
 * bunfig.toml and .env from the working directory of whoever calls it.
 */
async function compile(outfile: string, target?: string): Promise<void> {
  // Written beside and renamed: the executable of a running call cannot be overwritten.
  const temporary = `${outfile}.new`;
  const args = ["build", BUNDLE, "--compile", "--minify", "--bytecode", "--format=cjs", `--outfile=${temporary}`];
  const safety = ["--no-compile-autoload-bunfig", "--no-compile-autoload-dotenv"];
  await execa(process.execPath, [...args, ...safety, ...(target === undefined ? [] : [`--target=${target}`])]);
  renameSync(temporary, outfile);
}

function linkPlugins(): void {
  rmSync("dist/cni", { recursive: true, force: true });
  mkdirSync("dist/cni");
  for (const name of pluginNames) linkSync("dist/tsnet", `dist/cni/${name}`);
}
