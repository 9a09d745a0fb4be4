/**
 * etcd's and gRPC's errors as ours: what was asked of whom, and whether it is a matter of rights, of time or of the
 * connection.
 *
 * @module
 */
import {
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCDeadlineExceededError,
  GRPCUnauthenticatedError,
} from "etcd3";
import { type ErrorCode, isTsnetError, messageOf, TsnetError } from "../errors.ts";

/**
 * `timeout`, `permission`, `not-found` (a lease that has ended), otherwise `io`. The message says what etcd said, after
 * `at`: `etcd at https://10.0.0.1:2379: permission denied`.
 */
export function etcdError(cause: unknown, at: string): TsnetError {
  if (isTsnetError(cause)) return cause;
  return new TsnetError(`${at}: ${said(cause)}`, { code: codeOf(cause), cause });
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof GRPCDeadlineExceededError) return "timeout";
  if (error instanceof EtcdLeaseInvalidError) return "not-found";
  return DENIED.some((denied) => error instanceof denied) ? "permission" : "io";
}

const DENIED = [
  EtcdPermissionDeniedError,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  GRPCUnauthenticatedError,
];

/** gRPC's frame around what was said: number and name of its status, and what it knows of a connection's beginning. */
function said(error: unknown): string {
  const text = messageOf(error)
    .replace(/^(\w+Error: )?\d+ [A-Z_]+: /, "")
    .replace(/^No connection established\. Last error: (null\.?)?/, "no connection: ")
    .replace(/ ?Resolution note: ?$/, "")
    .replace(/(: |^)((Type)?Error( \[\w+\])?|etcdserver): /, "$1")
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g, "")
    .replace(/^Deadline exceeded.*$/s, "no answer in time");
  return text.replace(/[\s.:]+$/, "");
}
