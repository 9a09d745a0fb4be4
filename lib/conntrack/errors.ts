/**
 * What conntrack says when it fails, as codes. Nothing else reads its complaints.
 *
 * @module
 */
import { type ErrorCode, TsnetError } from "../errors.ts";

/** Whether a flow ended by itself while `conntrack -D` was at it, upon which it gives up on those that follow. */
export function isVanished(stderr: string): boolean {
  return stderr.includes("such conntrack doesn't exist");
}

/** Whether all that happened is that no flow matched: `conntrack -D` ends with 1 then. */
export function isNothing(stderr: string): boolean {
  return /\b0 flow entries have been deleted/.test(stderr);
}

/** The error for a failed `conntrack`. */
export function conntrackFailure(args: readonly string[], stderr: string): TsnetError {
  const said = stderr.replace(/^Try `.*$/gm, "").trim();
  return new TsnetError(`conntrack ${args.join(" ")}: ${said}`, { code: codeOf(said), op: "conntrack" });
}

function codeOf(said: string): ErrorCode {
  if (/must be root|not permitted|Permission denied/.test(said)) return "permission";
  return /not supported|support compiled/.test(said) ? "kernel-lacks" : "program";
}
