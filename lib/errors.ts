/**
 * The one error class of the house.
 *
 * Code branches on `code`, never on a message; a message names the object, what was found and the way out.
 * Only `lib/cni` turns these codes into CNI's numbers.
 *
 * @module
 */

/** What went wrong, as far as a caller may want to act on it. */
export type ErrorCode =
  /** The command line is off. */
  | "usage"
  /** A config, file or argument cannot be accepted as it stands. */
  | "invalid"
  /** Text that is not JSON or YAML, or of the wrong shape. */
  | "decoding"
  /** A key or feature that we know and do not do. */
  | "unsupported"
  /** A config version outside the supported ones, or too old for the verb. */
  | "incompatible-version"
  /** An environment variable is missing or malformed. */
  | "environment"
  /** A namespace path that is none, or is the host's own. */
  | "invalid-netns"
  /** The object is not there. */
  | "not-found"
  /** The object is there already. */
  | "exists"
  /** Two wishes that exclude each other: a port or subnet that somebody has. */
  | "conflict"
  /** Nothing left to give: an address pool, a bridge's ports. */
  | "exhausted"
  /** Somebody holds it for now: a lock, a starting agent. Trying again helps. */
  | "busy"
  /** A deadline passed. */
  | "timeout"
  /** We may not. */
  | "permission"
  /** The kernel lacks the feature. */
  | "kernel-lacks"
  /** CHECK found another state than the one that ADD made. */
  | "check-failed"
  /** Reading or writing failed for a reason of the system. */
  | "io"
  /** A program that we ran failed. */
  | "program"
  /** A plugin that we called answered with an error of its own. */
  | "plugin";

export interface ErrorOptionsOf {
  readonly code: ErrorCode;
  /** The operation in a few words: `link add`, `read config`. */
  readonly op?: string;
  readonly cause?: unknown;
  /** The kernel's errno name, such as `EEXIST`, where there was one. */
  readonly errno?: string;
  /** More lines for the log, never needed to understand the message. */
  readonly details?: string;
}

/** Carries a {@link ErrorCode}, the operation and the cause. */
export class TsnetError extends Error {
  override readonly name = "TsnetError";
  readonly code: ErrorCode;
  readonly op: string;
  readonly errno: string | undefined;
  readonly details: string | undefined;

  constructor(message: string, options: ErrorOptionsOf) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.op = options.op ?? "";
    this.errno = options.errno;
    this.details = options.details;
  }
}

/** Whether `error` is ours and carries one of `codes` (any, if none is given). */
export function isTsnetError(error: unknown, ...codes: readonly ErrorCode[]): error is TsnetError {
  return error instanceof TsnetError && (codes.length === 0 || codes.includes(error.code));
}

/** Whether `error` came from the kernel (through us or through node:fs) with one of `names`, such as `ENOENT`. */
export function hasErrno(error: unknown, ...names: readonly string[]): boolean {
  if (error instanceof TsnetError) return error.errno !== undefined && names.includes(error.errno);
  if (error instanceof Error && "code" in error) return typeof error.code === "string" && names.includes(error.code);
  return false;
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Several failures of one operation as one error; a single one is returned as it is. The first one's code counts. */
export function joinErrors(op: string, errors: readonly unknown[]): Error {
  const [first] = errors;
  if (errors.length === 1 && first instanceof Error) return first;
  return new TsnetError(errors.map(messageOf).join("; "), {
    code: isTsnetError(first) ? first.code : "io",
    op,
    cause: first,
  });
}
