/**
 * The story of `npm run setup`: Bun, the programs, the right to use them. Everything that is missing is told at once.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { ensureBun } from "./bun.mjs";
import { canInstall, endService, install } from "./debian.mjs";
import { missingPrograms, withSbin } from "./programs.mjs";

/** Does it, for the arguments of the command line; ends the process with 1 if something is left to the user. */
export function setUp(args) {
  process.env.PATH = withSbin(process.env.PATH);
  const problems = [...ensureBun()];
  if (!args.includes("--node-only"))
    problems.push(...ensureHost({ tests: args.includes("--tests"), cluster: args.includes("--cluster") }));
  if (problems.length === 0) return;
  for (const problem of problems) console.error(`setup: ${problem}`);
  process.exitCode = 1;
}

function ensureHost(purpose) {
  if (process.platform !== "linux") return ["tsnet runs on Linux: it is made of the Linux kernel's namespaces"];
  let missing = missingPrograms(purpose);
  if (missing.length > 0 && canInstall()) missing = installMissing(missing, purpose);
  const problems = missing.map(({ program, reason, ...at }) => `${program} is missing (${reason}): ${wayOut(at)}`);
  if (process.getuid() !== 0) {
    problems.push("namespaces, links and firewall rules are root's: run this again as root, such as by sudo");
  } else if (missing.length === 0) {
    problems.push(...namespaceProblems());
  }
  return problems;
}

function installMissing(missing, purpose) {
  const packages = [...new Set(missing.map((program) => program.package))];
  console.log(`setup: installing what is missing by apt-get: ${packages.join(", ")}`);
  const failure = install(packages);
  if (failure !== undefined) console.error(`setup: ${failure}`);
  for (const { service } of missing) if (service !== undefined) endService(service);
  return missingPrograms(purpose);
}

function wayOut({ package: name }) {
  return isDebian() ? `apt-get install ${name}` : `install the package that has it, ${name} on Debian`;
}

function isDebian() {
  try {
    return /^ID(_LIKE)?=.*\bdebian\b/m.test(readFileSync("/etc/os-release", "utf8"));
  } catch {
    return false;
  }
}

/** Root in a container is often root without the right to make namespaces. */
function namespaceProblems() {
  const { status, stderr } = spawnSync("unshare", ["--net", "--mount", "ip", "link", "set", "lo", "up"], {
    encoding: "utf8",
  });
  if (status === 0) return [];
  const said = stderr.trim().split("\n").at(-1);
  return [`this root may not make network namespaces (${said}): inside a container, start that one with --privileged`];
}
