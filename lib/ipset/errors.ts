/**
 * What ipset says when it fails, as codes. Nothing else reads its text.
 *
 * @module
 */
import { type ErrorCode, TsnetError } from "../errors.ts";

/** The error for a failed `ipset` that was given `text` and wrote `stderr`. */
export function ipsetFailure(text: string, stderr: string): TsnetError {
  const said = stderr.trim();
  const at = Number(/\bline (\d+):/.exec(said)?.[1] ?? 0);
  const line = text.split("\n")[at - 1];
  const where = line === undefined ? "" : ` ${line}:`;
  const reason = said.replace(/^ipset \S+: (?:Error in line \d+: )?/, "").replace(/\s+/g, " ");
  return new TsnetError(`ipset:${where} ${reason}`, { code: codeOf(said), op: "ipset", details: said });
}

function codeOf(said: string): ErrorCode {
  if (/Operation not permitted|must be root/i.test(said)) return "permission";
  if (said.includes("already exists")) return "exists";
  if (said.includes("does not exist")) return "not-found";
  if (said.includes("in use by a kernel component")) return "busy";
  if (/set type not supported|Kernel support .* not|Cannot open session to kernel|Invalid argument/i.test(said)) {
    return "kernel-lacks";
  }
  return "program";
}
