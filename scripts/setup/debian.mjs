/**
 * Installing by apt-get, without questions, and with `apt-get update` only where the lists do not do.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const INSTALL = ["install", "-y", "-q", "--no-install-recommends"];
// On a machine that has just been started, apt's own timer may hold the lock for a while.
const OPTIONS = ["-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"];

/** Whether packages can be installed here: Debian or a child of it, and we are root. */
export function canInstall() {
  return process.getuid() === 0 && existsSync("/usr/bin/apt-get");
}

/** Installs `packages`; returns what went wrong, undefined if nothing did. */
export function install(packages) {
  if (packages.every(isKnown) && aptGet([...INSTALL, ...packages]).status === 0) return undefined;
  // The lists are empty, or so old that what they name is no longer served.
  console.log("setup: apt-get update");
  const updated = aptGet(["update", "-q"]);
  const installed = aptGet([...INSTALL, ...packages]);
  if (installed.status === 0) return undefined;
  const said = updated.status === 0 ? installed.output : `${updated.output}\n${installed.output}`;
  return `apt-get install ${packages.join(" ")} failed:\n${said.trim()}`;
}

/** Ends a service that came with a package, and keeps it from the next boot: only its programs were wanted. */
export function endService(name) {
  if (existsSync("/run/systemd/system")) spawnSync("systemctl", ["disable", "--now", name], { stdio: "ignore" });
  else if (existsSync(`/etc/init.d/${name}`)) spawnSync("service", [name, "stop"], { stdio: "ignore" });
}

function isKnown(name) {
  const { stdout } = spawnSync("apt-cache", ["--quiet=0", "show", name], { encoding: "utf8" });
  return (stdout ?? "").includes(`Package: ${name}`);
}

function aptGet(args) {
  const { status, stdout, stderr, error } = spawnSync("apt-get", [...OPTIONS, ...args], {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    maxBuffer: 64 * 1024 * 1024,
  });
  return { status, output: error === undefined ? `${stdout}${stderr}` : error.message };
}
