/**
 * Small HTTP servers, each on one address: health checks, metrics.
 *
 * @module
 */
import { hasErrno, messageOf, TsnetError } from "../errors.ts";

export interface HttpServer {
  readonly port: number;
  /** Stops listening at once and drops what is open. */
  close(): void;
}

export interface HttpOptions {
  /** An address without brackets; `0.0.0.0` is every address of both families, as in Go. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Answers GET and HEAD; the path is without its query. */
  readonly answer: (path: string) => Response | Promise<Response>;
}

/**
 * Listens; the socket is bound when this returns.
 *
 * @throws TsnetError `conflict` if somebody has the port, `io` if the address is not this host's.
 */
export function serveHttp({ host, port, answer }: HttpOptions): HttpServer {
  const fetch = (request: Request): Response | Promise<Response> => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new Response("method not allowed\n", { status: 405, headers: { Allow: "GET, HEAD" } });
    }
    return answer(new URL(request.url).pathname);
  };
  // Left to itself the runtime shares the port with another process, which gets every other request.
  const listen = (hostname: string) => Bun.serve({ hostname, port, fetch, reusePort: false, development: false });
  try {
    const server = host === "0.0.0.0" ? listenOnAll(listen) : listen(host);
    return { port: server.port ?? port, close: () => void server.stop(true) };
  } catch (error) {
    throw new TsnetError(`cannot listen on ${host} port ${port}: ${messageOf(error)}`, {
      code: hasErrno(error, "EADDRINUSE") ? "conflict" : "io",
      op: "listen",
      cause: error,
    });
  }
}

function listenOnAll<T>(listen: (hostname: string) => T): T {
  try {
    return listen("::");
  } catch (error) {
    // A kernel without IPv6.
    if (hasErrno(error, "EAFNOSUPPORT")) return listen("0.0.0.0");
    throw error;
  }
}
