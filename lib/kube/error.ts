/**
 * What an API server said instead of an answer.
 *
 * Its Status objects come in two ways: as the body of an HTTP error, and inside a watch as an ERROR event after the
 * response was fine. Both become one {@link ApiError}, so that whoever retries looks at one thing.
 *
 * @module
 */
import { type ErrorCode, TsnetError } from "../errors.ts";
import { fieldsOf, listOf } from "./fields.ts";

/** A refusal or failure that the server told of. */
export class ApiError extends TsnetError {
  /** HTTP status, or `code` of the Status in a watch. */
  readonly status: number;
  /** How long the server asks us to stay away, in ms. */
  readonly retryAfterMs: number | undefined;
  /** A resource version that the server has not come to, or of another history: after a restore, or on another server. */
  readonly versionTooLarge: boolean;

  constructor(message: string, status: StatusOf, options: { readonly op: string; readonly retryAfterMs?: number }) {
    super(message, { code: codeOf(status.code), op: options.op });
    this.status = status.code;
    this.retryAfterMs = options.retryAfterMs ?? status.retryAfterMs;
    this.versionTooLarge = status.versionTooLarge;
  }
}

/** Whether `error` is an API server's with one of `statuses` (any, if none is given). */
export function isApiError(error: unknown, ...statuses: readonly number[]): error is ApiError {
  return error instanceof ApiError && (statuses.length === 0 || statuses.includes(error.status));
}

/** The error of an HTTP response that was none of 2xx. `body` need not be a Status: a proxy in between has its own. */
export function errorOfResponse(op: string, response: Response, body: string): ApiError {
  const status = parseStatus(body, response.status);
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"));
  const said = status.message === "" ? body.trim().slice(0, 200) : status.message;
  const message = `the API server answered ${response.status} to ${op}${said === "" ? "" : `: ${said}`}`;
  return new ApiError(message, { ...status, code: response.status }, { op, ...(retryAfterMs && { retryAfterMs }) });
}

/** The error of the Status that an ERROR event carries. */
export function errorOfEvent(op: string, object: unknown): ApiError {
  const status = statusFrom(object, 500);
  return new ApiError(`the API server ended ${op} with ${status.code}: ${status.message}`, status, { op });
}

/** `Retry-After` in ms: whole seconds or a date (RFC 9110, 10.2.3). */
export function parseRetryAfter(text: string | null, now: number = Date.now()): number | undefined {
  if (text === null || text.trim() === "") return undefined;
  if (/^\s*\d+\s*$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** What is used of a Status (meta/v1). */
interface StatusOf {
  readonly code: number;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
  readonly versionTooLarge: boolean;
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  400: "invalid",
  401: "permission",
  403: "permission",
  404: "not-found",
  409: "conflict",
  422: "invalid",
  429: "busy",
  503: "busy",
  504: "timeout",
};

function codeOf(status: number): ErrorCode {
  return CODES[status] ?? "io";
}

function parseStatus(body: string, code: number): StatusOf {
  try {
    return statusFrom(JSON.parse(body), code);
  } catch {
    return statusFrom(undefined, code);
  }
}

function statusFrom(value: unknown, otherwise: number): StatusOf {
  const status = fieldsOf(value);
  const details = fieldsOf(status.details);
  const seconds = details.retryAfterSeconds;
  return {
    code: typeof status.code === "number" ? status.code : otherwise,
    message: typeof status.message === "string" ? status.message : "",
    retryAfterMs: typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined,
    versionTooLarge: listOf(details.causes).some((cause) => fieldsOf(cause).reason === "ResourceVersionTooLarge"),
  };
}
