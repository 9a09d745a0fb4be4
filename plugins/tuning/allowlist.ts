/**
 * The administrator's list of sysctls that configs may set: a regular expression a line. Without the file everything
 * below net is allowed.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { readIfThere } from "../../lib/sys/files.ts";
import { parsePattern } from "./pattern.ts";
import type { Sysctl } from "./sysctl.ts";

const FILE = "/etc/cni/tuning/allowlist.conf";

/**
 * The keys are looked at as the config has them, with `IFNAME` in them.
 *
 * @throws TsnetError `invalid` for a sysctl that no line allows, or for a line that is no pattern; `io`.
 */
export function checkAllowed(sysctls: readonly Sysctl[]): void {
  const text = readIfThere(FILE);
  if (text === undefined) return;
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const patterns = lines.map((line) => parsePattern(line, FILE));
  for (const { key } of sysctls) {
    if (patterns.some((pattern) => pattern.test(key))) continue;
    throw new TsnetError(
      `Sysctl ${key} is not allowed. Only the following sysctls are allowed: [${lines.join(" ")}] (${FILE})`,
      { code: "invalid", op: "tuning config" },
    );
  }
}
