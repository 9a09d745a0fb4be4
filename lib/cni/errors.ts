/**
 * Errors on the wire: ours to CNI's numbers, and another plugin's back to ours.
 *
 * The only place that knows CNI's codes. Those below 100 are the specification's (1.1.0, section 5, "Error"); from
 * 100 on a plugin may use its own. An error without a meaning of its own is 999, as with the reference plugins.
 *
 * @module
 */
import { type ErrorCode, isTsnetError, messageOf, TsnetError } from "../errors.ts";
import { objectOf } from "./object.ts";
import type { CniCommand } from "./types.ts";

/** An error as a plugin prints it. */
export interface CniError {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/** What another plugin answered; keeps its number, so that our caller gets the same one. */
export class PluginError extends TsnetError {
  readonly cniCode: number;

  constructor(message: string, cniCode: number, details?: string) {
    super(message, { code: "plugin", ...(details === undefined ? {} : { details }) });
    this.cniCode = cniCode;
  }
}

/** "The plugin is not available", what STATUS says when ADD would fail for want of something. */
const UNAVAILABLE = 50;
const LACKING: ReadonlySet<ErrorCode> = new Set(["exhausted", "busy", "not-found", "kernel-lacks", "permission"]);
const UNTYPED = 999;

/**
 * The error for our caller.
 *
 * @param version of the config; the newest where that is not known.
 * @param command STATUS has codes of its own.
 */
export function toCniError(error: unknown, version: string, command?: CniCommand): CniError {
  const details = isTsnetError(error) ? error.details : undefined;
  return {
    cniVersion: version,
    code: numberOf(error, command),
    msg: messageOf(error),
    ...(details === undefined || details === "" ? {} : { details }),
  };
}

/** The error that a plugin printed. @throws TsnetError `decoding` if `json` is none. */
export function fromCniError(json: unknown): PluginError {
  const error = objectOf(json, "the plugin's error");
  const code = error.integer("code");
  if (code === undefined) throw new TsnetError("the plugin's error has no code", { code: "decoding" });
  const message = error.string("msg") ?? "";
  return new PluginError(message === "" ? `error ${code} without a message` : message, code, error.string("details"));
}

function numberOf(error: unknown, command: CniCommand | undefined): number {
  if (error instanceof PluginError) return error.cniCode === 0 ? UNTYPED : error.cniCode;
  if (!isTsnetError(error)) return UNTYPED;
  if (command === "STATUS" && LACKING.has(error.code)) return UNAVAILABLE;
  return NUMBERS[error.code];
}

const NUMBERS: Readonly<Record<ErrorCode, number>> = {
  "incompatible-version": 1,
  unsupported: 2,
  environment: 4,
  usage: 4,
  io: 5,
  permission: 5,
  decoding: 6,
  invalid: 7,
  "invalid-netns": 8,
  // The specification's "try again later": what is used up may come free.
  busy: 11,
  timeout: 11,
  exhausted: 11,
  exists: 100,
  conflict: 101,
  "kernel-lacks": 102,
  "check-failed": 103,
  // Not 3, "unknown container": its reader leaves out DEL, and what is half there would stay.
  "not-found": 104,
  program: UNTYPED,
  plugin: UNTYPED,
};
