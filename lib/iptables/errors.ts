/**
 * What the iptables programs say when they fail, as codes. Nothing else reads their text.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

/** The error for `program` that was given `text` and wrote `stderr`. */
export function iptablesFailure(program: string, _text: string, stderr: string): TsnetError {
  return new TsnetError(`${program}: ${stderr.trim()}`, { code: "program", op: program, details: stderr });
}
