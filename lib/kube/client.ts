/**
 * A Kubernetes API server as a few requests: whole answers, and streams for lists and watches.
 *
 * On the runtime's own fetch, which takes client certificates, private authorities, server names and proxies, stops
 * reading when we do, and costs 7 MB. @kubernetes/client-node's requests go through undici, which the runtime
 * replaces by a shim that ignores certificates.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { Access } from "./access.ts";
import { Credentials, type Shown } from "./credentials.ts";
import { Deadline } from "./deadline.ts";
import { errorOfResponse } from "./error.ts";
import { type Environment, parseProxy, proxyFor } from "./httpproxy.ts";
import { inClusterAccess } from "./incluster.ts";
import { readKubeconfig, serverUrl } from "./kubeconfig.ts";

export interface KubeClient {
  /** For messages. */
  readonly server: string;
  /**
   * One request and its whole answer, parsed; undefined if there is no body.
   *
   * @param path with its query, from `/api` or `/apis` on.
   * @throws ApiError for an answer that is none of 2xx.
   * @throws TsnetError `timeout`, and `io` if there was no answer.
   */
  request(method: string, path: string, options?: RequestOptions): Promise<unknown>;
  /**
   * A GET whose answer is handed on in pieces as they arrive. Ends when the answer does.
   *
   * @throws ApiError and TsnetError as {@link request}; `timeout` also if nothing came for `idleMs`.
   */
  stream(path: string, take: (chunk: Uint8Array) => void, options: StreamOptions): Promise<void>;
}

export interface RequestOptions {
  /** Becomes JSON. */
  readonly body?: unknown;
  /** `application/json` unless given, such as for a patch `application/merge-patch+json`. */
  readonly contentType?: string;
  /** For the whole of it, 30 s unless given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface StreamOptions {
  readonly signal: AbortSignal;
  /** Until the answer begins. */
  readonly openMs: number;
  /** Between pieces of it, asked for each. */
  readonly idleMs: () => number;
  /** The answer begins, and is not an error. */
  readonly opened?: () => void;
}

export interface ConnectOptions {
  /** Path of a kubeconfig; empty or absent: none. */
  readonly kubeconfig?: string;
  /** URL of the server, goes before the kubeconfig's. */
  readonly master?: string;
  /** `User-Agent`. */
  readonly userAgent?: string;
  /** The process's unless given. */
  readonly env?: Environment;
  /** Where the service account's files are in a pod. */
  readonly serviceAccount?: string;
}

/**
 * Makes a client from a kubeconfig, or from the pod that we run in where there is neither kubeconfig nor master.
 * Nothing is sent yet.
 *
 * @throws TsnetError for a kubeconfig that cannot be read, or `environment` if this is no pod.
 */
export async function connectKube(options: ConnectOptions): Promise<KubeClient> {
  const { kubeconfig = "", master = "", env = process.env, userAgent = "tsnet" } = options;
  const access =
    kubeconfig !== ""
      ? readKubeconfig(kubeconfig, master)
      : master !== ""
        ? withoutCredentials(serverUrl(master))
        : inClusterAccess(env, options.serviceAccount);
  return new Client(access, env, userAgent);
}

function withoutCredentials(server: string): Access {
  const none = { serverName: undefined, ca: undefined, cert: undefined, key: undefined };
  return {
    ...none,
    server,
    insecure: false,
    tokens: [],
    basic: undefined,
    exec: undefined,
    headers: [],
    proxyUrl: undefined,
  };
}

const REQUEST_MS = 30_000;
/** A connection that was put aside is used again by what follows at once, and is never old enough to be a dead one. */
const REUSE_SECONDS = 4;

class Client implements KubeClient {
  readonly server: string;
  readonly #credentials: Credentials;
  readonly #proxy: Bun.FetchProxyOption;
  readonly #userAgent: string;
  readonly #session = new Bun.FetchSession({ keepAlive: { idleTimeout: REUSE_SECONDS } });

  constructor(access: Access, env: Environment, userAgent: string) {
    this.server = access.server;
    this.#credentials = new Credentials(access);
    this.#userAgent = userAgent;
    const proxy =
      access.proxyUrl === undefined ? proxyFor(access.server, env) : parseProxy(access.proxyUrl, "proxy-url");
    this.#proxy = proxy === undefined ? false : { url: proxy, respectNoProxy: false };
  }

  async request(method: string, path: string, options: RequestOptions = {}): Promise<unknown> {
    const { body, contentType = "application/json", timeoutMs = REQUEST_MS } = options;
    const deadline = new Deadline(operation(method, path), options.signal);
    deadline.within(timeoutMs);
    try {
      const sent = body === undefined ? {} : { body: JSON.stringify(body), contentType };
      const response = await this.#send(method, path, deadline, sent);
      const text = await deadline.reaching(this.server, response.text());
      return text.trim() === "" ? undefined : parseJson(text, operation(method, path));
    } finally {
      deadline.done();
    }
  }

  async stream(path: string, take: (chunk: Uint8Array) => void, options: StreamOptions): Promise<void> {
    const { openMs, idleMs, opened } = options;
    const deadline = new Deadline(operation("GET", path), options.signal);
    deadline.within(openMs);
    try {
      const response = await this.#send("GET", path, deadline, {});
      opened?.();
      if (response.body === null) return;
      const reader = response.body.getReader();
      for (;;) {
        deadline.within(idleMs());
        const { done, value } = await deadline.reaching(this.server, reader.read());
        if (done) return;
        take(value);
      }
    } finally {
      // Also ends the connection of an answer that was not read to its end.
      deadline.done();
    }
  }

  /** The answer's head, which is none of an error. */
  async #send(method: string, path: string, deadline: Deadline, sent: Sent): Promise<Response> {
    let response = await this.#fetch(method, path, deadline, sent);
    // What a plugin gave may have been withdrawn before its time. Files have been read for this very request.
    if (response.status === 401 && this.#credentials.refused()) {
      await deadline.reaching(this.server, response.text());
      response = await this.#fetch(method, path, deadline, sent);
    }
    if (response.ok) return response;
    throw errorOfResponse(operation(method, path), response, await deadline.reaching(this.server, response.text()));
  }

  async #fetch(method: string, path: string, deadline: Deadline, sent: Sent): Promise<Response> {
    const shown = await this.#credentials.show();
    const answer = this.#session.fetch(`${this.server}${path}`, {
      method,
      headers: this.#headers(shown, sent),
      tls: shown.tls,
      proxy: this.#proxy,
      signal: deadline.signal,
      redirect: "error",
      ...(sent.body !== undefined && { body: sent.body }),
    });
    return deadline.reaching(this.server, answer);
  }

  #headers({ headers }: Shown, { contentType }: Sent): [string, string][] {
    const all: [string, string][] = [
      ["Accept", "application/json"],
      // Compressing a list costs the server more time than the network takes for it.
      ["Accept-Encoding", "identity"],
      ["User-Agent", this.#userAgent],
      ...headers.map(([name, value]): [string, string] => [name, value]),
    ];
    if (contentType !== undefined) all.push(["Content-Type", contentType]);
    return all;
  }
}

interface Sent {
  readonly body?: string;
  readonly contentType?: string;
}

/** For messages, in which a query only hides the rest. */
function operation(method: string, path: string): string {
  return `${method} ${path.replace(/\?.*$/, "")}`;
}

function parseJson(text: string, op: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsnetError(`the answer to ${op} is no JSON`, { code: "decoding", op, cause });
  }
}
