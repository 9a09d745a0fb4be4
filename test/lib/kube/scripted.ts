/**
 * An API server that answers what a test tells it to, request by request, on loopback.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** Answers one request, or leaves it open. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export class ScriptedServer implements AsyncDisposable {
  /** Of each request, as they came. */
  readonly requests: URL[] = [];
  readonly #script: Answer[];
  readonly #server: Server;
  #port = 0;

  private constructor(script: readonly Answer[]) {
    this.#script = [...script];
    this.#server = createServer((request, response) => {
      this.requests.push(new URL(request.url ?? "", this.url));
      const answer = this.#script.shift() ?? openWatch();
      answer(response, request);
    });
  }

  /** @param script answers one request each; those after the last one are watches in which nothing happens. */
  static async start(...script: readonly Answer[]): Promise<ScriptedServer> {
    const server = new ScriptedServer(script);
    await server.listen();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Of the request of that number, from 0. */
  query(n: number): Readonly<Record<string, string>> {
    return Object.fromEntries(this.requests[n]?.searchParams ?? []);
  }

  /** Takes connections (again), always on the same port. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
    const address = this.#server.address();
    this.#port = typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Ends, with all connections. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** An object of a name, with whatever else it has. */
export function named(name: string, version: string, more: object = {}): object {
  return { metadata: { name, namespace: "default", resourceVersion: version }, ...more };
}

export function text(body: string, code = 200, headers: Readonly<Record<string, string>> = {}): Answer {
  return (response) => response.writeHead(code, headers).end(body);
}

export function list(version: string, ...items: readonly object[]): Answer {
  return text(JSON.stringify({ kind: "List", metadata: { resourceVersion: version }, items }));
}

export function status(code: number, message = "", headers: Readonly<Record<string, string>> = {}): Answer {
  return text(JSON.stringify({ kind: "Status", status: "Failure", code, message }), code, headers);
}

/** Lines of a watch, then its end. */
export function watch(...lines: readonly string[]): Answer {
  return text(lines.map((line) => `${line}\n`).join(""));
}

/** Lines of a watch, then silence. */
export function openWatch(...lines: readonly string[]): Answer {
  return (response) => {
    response.writeHead(200).flushHeaders();
    for (const line of lines) response.write(`${line}\n`);
  };
}

/** The beginning of an answer, then the connection is cut. */
export function cut(beginning: string): Answer {
  return (response) => {
    response.writeHead(200);
    response.write(beginning, () => setTimeout(() => response.destroy(), 10));
  };
}

export function event(type: "ADDED" | "MODIFIED" | "DELETED" | "ERROR", object: object): string {
  return JSON.stringify({ type, object });
}

export function bookmark(version: string, annotations?: object): string {
  return JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: version, annotations } } });
}

export const INITIAL_END = { "k8s.io/initial-events-end": "true" };
