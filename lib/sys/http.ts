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
  /** Answers requests of any method, as those of Go do: balancers ask as they please. The path is without its query. */
  readonly answer: (path: string) => Response | Promise<Response>;
}

/**
 * Listens; the socket is bound when this returns.
 *
 * @throws TsnetError `conflict` if somebody has the port, `io` if the address is not this host's.
 */
export function serveHttp({ host, port, answer }: HttpOptions): HttpServer {
  const fetch = (request: Request) => answer(pathOf(request.url));
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

/** Where a request does not name its host, as those of HTTP/1.0 need not, the runtime has its path for the URL. */
function pathOf(url: string): string {
  const [, path = ""] = /^(?:[a-z]+:\/\/[^/?#]*)?([^?#]*)/i.exec(url) ?? [];
  return path === "" ? "/" : path;
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
