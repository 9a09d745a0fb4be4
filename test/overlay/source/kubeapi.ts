/**
 * The Nodes of an API server, on loopback, without the server: lists, watches, a get, and patches of nodes/status as
 * the real one merges them. What it is told to refuse it refuses.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { fieldsOf, listOf, textOf } from "../../../lib/kube/fields.ts";

type Fields = Readonly<Record<string, unknown>>;

export class KubeApi {
  /** `PATCH /api/v1/nodes/a/status`, without queries. */
  readonly requests: string[] = [];
  readonly patches: unknown[] = [];
  /** Status to answer a request of this method with, in the place of what was asked for. */
  readonly refused = new Map<string, number>();
  /** Patches wait for this before they are done. */
  gate: Promise<void> = Promise.resolve();
  readonly #nodes = new Map<string, Fields>();
  readonly #events: { readonly version: number; readonly line: string }[] = [];
  readonly #watches = new Set<ServerResponse>();
  #version = 10;
  #oldest = 0;
  #server: Server | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Takes connections (again), always on the same port. */
  async listen(): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    const address = server.address();
    this.#port = typeof address === "object" && address !== null ? address.port : 0;
    this.#server = server;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve));
    this.#server?.closeAllConnections();
    this.#watches.clear();
    await closed;
  }

  node(name: string): Fields | undefined {
    return this.#nodes.get(name);
  }

  annotations(name: string): Fields {
    return fieldsOf(fieldsOf(this.node(name)?.metadata).annotations);
  }

  /** Makes it, or puts it in the place of the one of its name. */
  put(node: Fields): void {
    const name = textOf(fieldsOf(node.metadata).name) ?? "";
    const type = this.#nodes.has(name) ? "MODIFIED" : "ADDED";
    const versioned = this.#versioned(node);
    this.#nodes.set(name, versioned);
    this.#tell(type, versioned);
  }

  delete(name: string): void {
    const node = this.#nodes.get(name);
    if (node === undefined || !this.#nodes.delete(name)) return;
    this.#tell("DELETED", this.#versioned(node));
  }

  /** Watches that are open hear nothing more, as if the network had forgotten them. */
  silence(): void {
    this.#watches.clear();
  }

  /** Knows no version but the newest from now on: answers 410 to watches from before. */
  forget(): void {
    this.#oldest = this.#version;
    this.#events.length = 0;
  }

  /** As a strategic merge does. */
  patch(name: string, patch: unknown): Fields | undefined {
    const node = this.#nodes.get(name);
    if (node === undefined) return undefined;
    const { metadata, status } = fieldsOf(patch);
    const annotations = { ...this.annotations(name), ...fieldsOf(fieldsOf(metadata).annotations) };
    const kept = Object.fromEntries(Object.entries(annotations).filter(([, value]) => value !== null));
    const conditions = mergedByType(fieldsOf(node.status).conditions, fieldsOf(status).conditions);
    this.put({
      ...node,
      metadata: { ...fieldsOf(node.metadata), annotations: kept },
      status: { ...fieldsOf(node.status), conditions },
    });
    return this.#nodes.get(name);
  }

  #versioned(node: Fields): Fields {
    this.#version++;
    return { ...node, metadata: { ...fieldsOf(node.metadata), resourceVersion: String(this.#version) } };
  }

  #tell(type: string, object: Fields): void {
    const line = `${JSON.stringify({ type, object })}\n`;
    this.#events.push({ version: this.#version, line });
    for (const response of this.#watches) response.write(line);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", "http://x");
    const method = request.method ?? "";
    this.requests.push(`${method} ${url.pathname}`);
    const name = /^\/api\/v1\/nodes\/([^/]+)/.exec(url.pathname)?.[1];
    const refusal = this.refused.get(method);
    const body = await bodyOf(request);
    if (method === "PATCH") await this.gate;
    if (refusal !== undefined) reply(response, refusal, { kind: "Status", message: "not here" });
    else if (url.searchParams.has("sendInitialEvents")) reply(response, 422, { kind: "Status" });
    else if (url.searchParams.has("watch")) this.#watch(Number(url.searchParams.get("resourceVersion")), response);
    else if (method === "PATCH" && name !== undefined) this.#patched(name, body, response);
    else if (name !== undefined) replyIf(response, this.#nodes.get(name));
    else
      reply(response, 200, { metadata: { resourceVersion: String(this.#version) }, items: [...this.#nodes.values()] });
  }

  #watch(from: number, response: ServerResponse): void {
    if (from < this.#oldest) {
      reply(response, 410, { kind: "Status", message: "too old" });
      return;
    }
    response.writeHead(200).flushHeaders();
    for (const { version, line } of this.#events) if (version > from) response.write(line);
    this.#watches.add(response);
    response.on("close", () => this.#watches.delete(response));
  }

  #patched(name: string, body: string, response: ServerResponse): void {
    const patch: unknown = JSON.parse(body);
    this.patches.push(patch);
    replyIf(response, this.patch(name, patch));
  }
}

function mergedByType(before: unknown, patch: unknown): readonly Fields[] {
  const merged = new Map(listOf(before).map((one) => [fieldsOf(one).type, fieldsOf(one)]));
  for (const one of listOf(patch).map(fieldsOf)) {
    if (one.$patch === "delete") merged.delete(one.type);
    else merged.set(one.type, { ...merged.get(one.type), ...one });
  }
  return [...merged.values()];
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

function replyIf(response: ServerResponse, object: Fields | undefined): void {
  if (object === undefined) reply(response, 404, { kind: "Status", message: "not found" });
  else reply(response, 200, object);
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status).end(JSON.stringify(body));
}
