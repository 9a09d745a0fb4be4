/**
 * Finds the Bun that npm installed. Its package puts the executable in place by an install script, which npm may have
 * been told not to run (`ignore-scripts`); then a placeholder is there, and the script is run here.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("../../node_modules/bun", import.meta.url));

/** Makes `node_modules/.bin/bun` run; returns what is left to the user to do, nothing if it runs. */
export function ensureBun() {
  if (!existsSync(PACKAGE)) return ["the packages are not installed: run npm ci"];
  if (runs()) return [];
  console.log("setup: putting Bun in place, which npm left out");
  const { status, stderr } = spawnSync(process.execPath, ["install.js"], { cwd: PACKAGE, encoding: "utf8" });
  if (status === 0 && runs()) return [];
  return [
    `Bun does not run on this machine (${process.platform} ${process.arch}): ${lastLine(stderr)}`,
    "Bun comes as an optional package: run npm ci --include=optional",
  ];
}

function runs() {
  const { status } = spawnSync(`${PACKAGE}/bin/bun.exe`, ["--version"], { stdio: "ignore" });
  return status === 0;
}

function lastLine(text) {
  return (text ?? "").trim().split("\n").at(-1);
}
