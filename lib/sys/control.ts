/**
 * HTTP on a unix socket: how a command of ours talks to a process of ours that stays.
 *
 * Why HTTP: the runtime speaks it on both sides, and so does curl(1) for whoever looks for trouble.
 *
 * @module
 */
import { chmodSync } from "node:fs";
import { messageOf, TsnetError } from "../errors.ts";
import { removeFile } from "./files.ts";

export interface ControlServer {
  /** Stops listening at once and removes the socket. */
  close(): void;
}

/** What somebody asks: `POST /sync`. */
export interface ControlRequest {
  readonly method: string;
  readonly path: string;
}

/**
 * Listens at `path`, for root alone, in place of what a process that was killed left there: the caller holds a lock
 * that says that nobody else listens. An answer is sent as JSON; undefined is 404.
 *
 * @throws TsnetError `io`.
 */
export function serveControl(path: string, answer: (request: ControlRequest) => Promise<unknown>): ControlServer {
  removeFile(path);
  const umask = process.umask(0o177);
  try {
    const server = Bun.serve({
      unix: path,
      development: false,
      fetch: async (request) => {
        const value = await answer({ method: request.method, path: new URL(request.url).pathname });
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
 * @throws TsnetError `not-found` if nobody listens, `timeout`, `io` if it answers with an error.
 */
export async function askControl(
  path: string,
  { method, path: what }: ControlRequest,
  timeoutMs: number,
): Promise<unknown> {
  const fail = (message: string, code: "not-found" | "timeout" | "io", cause?: unknown) =>
    new TsnetError(`${path}: ${message}`, { code, op: "ask", cause });
  try {
    const response = await fetch(`http://local${what}`, {
      unix: path,
      method,
      keepalive: false,
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    if (!response.ok) throw fail(`${method} ${what}: ${text}`, "io");
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof TsnetError) throw error;
    if (error instanceof Error && error.name === "TimeoutError")
      throw fail(`no answer within ${timeoutMs} ms`, "timeout", error);
    throw fail(`nobody answers: ${messageOf(error)}`, "not-found", error);
  }
}
