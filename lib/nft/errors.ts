/**
 * What nft says when it fails, as codes. Nothing else reads its text.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

/** The error for a failed `nft` that was given `text` and wrote `stderr`. */
export function nftFailure(_text: string, stderr: string): TsnetError {
  return new TsnetError(`nft: ${stderr.trim()}`, { code: "program", op: "nft", details: stderr });
}
