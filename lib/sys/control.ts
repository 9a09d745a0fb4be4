/**
 * HTTP on a unix socket: how a command of ours talks to a process of ours that stays.
 *
 * Why HTTP: the runtime speaks it on both sides, and so does curl(1) for whoever looks for trouble.
 *
 * @module
 */
import { chmodSync } from "node:fs";
import { hasErrno, messageOf, TsnetError } from "../errors.ts";
import { removeFile } from "./files.ts";

export interface ControlServer {
  /** Stops listening at once and removes the socket. */
  close(): void;
}

/** What somebody asks: `POST /sync`. */
export interface ControlRequest {
  readonly method: string;
  readonly path: string;
  /** What is sent along, as JSON. */
  readonly body?: unknown;
}

/** The same, as it comes in. */
export interface ControlCall extends ControlRequest {
  /** Aborted when the one who asks goes away. */
  readonly signal: AbortSignal;
}

/**
 * Listens at `path`, for root alone, in place of what a process that was killed left there: the caller holds a lock
 * that says that nobody else listens. An answer is sent as JSON; undefined is 404.
 *
 * @throws TsnetError `io`.
 */
export function serveControl(path: string, answer: (request: ControlCall) => Promise<unknown>): ControlServer {
  removeFile(path);
  const umask = process.umask(0o177);
  try {
    const server = Bun.serve({
      unix: path,
      development: false,
      fetch: async (request) => {
        const { method, signal } = request;
        const text = method === "POST" ? await request.text() : "";
        const sent = text === "" ? {} : { body: JSON.parse(text) };
        const value = await answer({ method, path: new URL(request.url).pathname, ...sent, signal });
        return value === undefined ? new Response("", { status: 404 }) : Response.json(value);
      },
      error: (error) => Response.json({ error: messageOf(error) }, { status: 500 }),
    });
    chmodSync(path, 0o600);
    return {
      close() {
        void server.stop(true);
        removeFile(path);
      },
    };
  } catch (error) {
    throw new TsnetError(`cannot listen at ${path}: ${messageOf(error)}`, { code: "io", op: "listen", cause: error });
  } finally {
    process.umask(umask);
  }
}

/**
 * Asks whoever listens at `path`, and returns the answer's JSON.
 *
 * @param timeoutMs without it, it waits for as long as the other one is there.
 * @throws TsnetError `not-found` if nobody listens, `timeout`, `io` if it answers with an error, or not as we do.
 */
export async function askControl(path: string, request: ControlRequest, timeoutMs?: number): Promise<unknown> {
  const { status, text } = await askHttp(path, request, timeoutMs);
  if (status === 200) {
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw fault(path, `its answer is no JSON: ${messageOf(cause)}`, "io", cause);
    }
  }
  throw fault(path, `${request.method} ${request.path}: ${text}`, "io");
}

/**
 * Asks whoever listens at `path`, ours or not, and returns what it says.
 *
 * @throws TsnetError `not-found` if nobody listens or it speaks no HTTP, `timeout`.
 */
export async function askHttp(
  path: string,
  { method, path: what, body }: ControlRequest,
  timeoutMs?: number,
): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(`http://local${what}`, {
      unix: path,
      method,
      keepalive: false,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(timeoutMs === undefined ? { timeout: false } : { signal: AbortSignal.timeout(timeoutMs) }),
    });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    if (error instanceof Error && error.name === "TimeoutError")
      throw fault(path, `no answer within ${timeoutMs} ms`, "timeout", error);
    throw fault(path, `nobody answers: ${reasonOf(error)}`, "not-found", error);
  }
}

/** Bun adds to a refused connection that the URL may be mistyped, of which there is none. */
function reasonOf(error: unknown): string {
  if (hasErrno(error, "ENOENT")) return "there is no such socket";
  return hasErrno(error, "ECONNREFUSED") ? "nobody listens there" : messageOf(error);
}

function fault(path: string, message: string, code: "not-found" | "timeout" | "io", cause?: unknown): TsnetError {
  return new TsnetError(`${path}: ${message}`, { code, op: "ask", ...(cause === undefined ? {} : { cause }) });
}
