import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectKube, type KubeClient } from "../../../lib/kube/client.ts";
import { ApiError, parseRetryAfter } from "../../../lib/kube/error.ts";
import { PKI } from "./pki.ts";
import { ScriptedServer, status, text } from "./scripted.ts";

let directory: string;
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsnet-kube-"));
  cleanups.push(() => rmSync(directory, { recursive: true }));
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function write(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o755 });
  return path;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    server.close();
    if ("closeAllConnections" in server && typeof server.closeAllConnections === "function")
      server.closeAllConnections();
  });
  const address: AddressInfo | string | null = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Answers with what it was shown. */
function tell(request: IncomingMessage, response: ServerResponse): void {
  response.end(JSON.stringify({ path: request.url, headers: request.headers }));
}

/** Answers with whose certificate it was shown. The runtime's node:https does not tell that. */
function tlsServer(): Promise<number> {
  const { cert, key } = PKI.server;
  const server = createTlsServer({ cert, key, ca: PKI.ca, requestCert: true, rejectUnauthorized: false }, (socket) => {
    socket.on("error", () => {});
    socket.once("data", (head) => {
      const client = socket.getPeerCertificate().subject?.CN;
      const body = JSON.stringify({ client, path: head.toString().split(" ")[1] });
      socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
  });
  return listen(server);
}

/** A client by a kubeconfig with this cluster and user. */
function client(cluster: object, user: object, env: Readonly<Record<string, string>> = {}): Promise<KubeClient> {
  const kubeconfig = write(
    "config",
    JSON.stringify({
      "current-context": "x",
      clusters: [{ name: "x", cluster }],
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      users: [{ name: "x", user }],
    }),
  );
  return connectKube({ kubeconfig, env, userAgent: "tsnet-test" });
}

const base64 = (content: string) => Buffer.from(content).toString("base64");

describe("TLS", () => {
  const trusted = (port: number) => ({
    server: `https://127.0.0.1:${port}`,
    "tls-server-name": "kubernetes",
    "certificate-authority-data": base64(PKI.ca),
  });

  test("shows a client certificate from files, and the new one once it was renewed", async () => {
    const user = { "client-certificate": write("c", PKI.alice.cert), "client-key": write("k", PKI.alice.key) };
    const kube = await client(trusted(await tlsServer()), user);
    expect(await kube.request("GET", "/a")).toMatchObject({ client: "alice", path: "/a" });
    write("c", PKI.bob.cert);
    write("k", PKI.bob.key);
    expect(await kube.request("GET", "/b")).toMatchObject({ client: "bob" });
  });

  test("takes a server that its authority vouches for, and no other", async () => {
    const port = await tlsServer();
    const ca = write("ca", PKI.otherCa);
    const { "certificate-authority-data": _, ...cluster } = trusted(port);
    const kube = await client({ ...cluster, "certificate-authority": ca }, {});
    await expect(kube.request("GET", "/")).rejects.toMatchObject({
      code: "io",
      message: expect.stringMatching(/cannot reach.*not signed by the certificate-authority/),
    });
    write("ca", PKI.ca);
    await expect(kube.request("GET", "/")).resolves.toMatchObject({ path: "/" });
  });

  test("takes only the server that it is told, by its name or its address", async () => {
    const port = await tlsServer();
    const { "tls-server-name": _, ...cluster } = trusted(port);
    await expect((await client(cluster, {})).request("GET", "/")).rejects.toMatchObject({
      message: expect.stringMatching(/for another name/),
    });
    const named = await client({ ...cluster, "tls-server-name": "other" }, {});
    await expect(named.request("GET", "/")).rejects.toMatchObject({
      message: expect.stringMatching(/for another name/),
    });
  });

  test("takes any server if it is told so", async () => {
    const cluster = { server: `https://127.0.0.1:${await tlsServer()}`, "insecure-skip-tls-verify": true };
    await expect((await client(cluster, {})).request("GET", "/")).resolves.toMatchObject({ path: "/" });
  });

  test("goes through the proxy of its kubeconfig, whatever the environment says", async () => {
    const asked: string[] = [];
    const proxy = await listen(connectProxy(asked));
    const port = await tlsServer();
    const cluster = { ...trusted(port), "proxy-url": `http://u:p@127.0.0.1:${proxy}` };
    const user = { "client-certificate-data": base64(PKI.alice.cert), "client-key-data": base64(PKI.alice.key) };
    const kube = await client(cluster, user, { NO_PROXY: "*", HTTPS_PROXY: "http://127.0.0.1:1" });
    expect(await kube.request("GET", "/")).toMatchObject({ client: "alice" });
    expect(asked).toEqual([`CONNECT 127.0.0.1:${port} HTTP/1.1`]);
  });
});

function connectProxy(asked: string[]): Server {
  return createServer((near) => {
    near.once("data", (head) => {
      const line = head.toString().split("\r\n")[0] ?? "";
      asked.push(line);
      const [host = "", port] = (line.split(" ")[1] ?? "").split(":");
      const far = connect(Number(port), host, () => near.write("HTTP/1.1 200 OK\r\n\r\n"));
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) socket.on("error", () => near.destroy());
    });
  });
}

describe("a request", () => {
  const plain = async () => `http://127.0.0.1:${await listen(await httpServer())}`;

  test("tells who it is, wants JSON, and nothing compressed", async () => {
    const kube = await client({ server: await plain() }, { username: "me", password: "secret" });
    expect(await kube.request("GET", "/")).toMatchObject({
      headers: {
        "user-agent": "tsnet-test",
        accept: "application/json",
        "accept-encoding": "identity",
        authorization: `Basic ${base64("me:secret")}`,
      },
    });
  });

  test("has a body of the type that is asked for", async () => {
    await using server = await ScriptedServer.start((response, request) => {
      request.on("data", (body) =>
        response.end(JSON.stringify([request.method, request.headers["content-type"], `${body}`])),
      );
    });
    const kube = await connectKube({ master: server.url });
    const options = { body: { a: 1 }, contentType: "application/merge-patch+json" };
    expect(await kube.request("PATCH", "/x", options)).toEqual(["PATCH", "application/merge-patch+json", '{"a":1}']);
  });

  test("reads its token anew, and keeps the last one while the file is being replaced", async () => {
    const token = write("token", "one\n");
    const kube = await client({ server: await plain() }, { tokenFile: token });
    const shown = async () => JSON.stringify(await kube.request("GET", "/"));
    expect(await shown()).toContain('"authorization":"Bearer one"');
    write("token", "two");
    expect(await shown()).toContain('"authorization":"Bearer two"');
    rmSync(token);
    expect(await shown()).toContain('"authorization":"Bearer two"');
  });

  test("without a token to show is not sent", async () => {
    const env = { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: "1" };
    const kube = await connectKube({ env, serviceAccount: directory });
    await expect(kube.request("GET", "/")).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/no token in/),
    });
  });

  test("that is refused carries the server's status, message and wish", async () => {
    await using server = await ScriptedServer.start(
      status(429, "too many", { "Retry-After": "7" }),
      text("<html>", 502),
    );
    const kube = await connectKube({ master: server.url });
    const busy = await kube.request("GET", "/api/v1/nodes").catch((error: unknown) => error);
    expect(busy).toBeInstanceOf(ApiError);
    expect(busy).toMatchObject({
      code: "busy",
      status: 429,
      retryAfterMs: 7000,
      message: "the API server answered 429 to GET /api/v1/nodes: too many",
    });
    await expect(kube.request("GET", "/")).rejects.toMatchObject({
      status: 502,
      message: expect.stringMatching(/502 to GET \/: <html>/),
    });
  });

  test("does not follow to another server, which would be shown our token", async () => {
    await using server = await ScriptedServer.start(text("", 302, { Location: "http://127.0.0.1:1/" }));
    const kube = await connectKube({ master: server.url });
    await expect(kube.request("GET", "/")).rejects.toThrow();
  });

  test("that takes too long, or is given up, ends", async () => {
    await using server = await ScriptedServer.start();
    const kube = await connectKube({ master: server.url });
    await expect(kube.request("GET", "/", { timeoutMs: 30 })).rejects.toMatchObject({ code: "timeout" });
    await expect(kube.request("GET", "/", { signal: AbortSignal.abort() })).rejects.toThrow();
  });

  test("to a server that is not there says so", async () => {
    const kube = await connectKube({ master: "http://127.0.0.1:1" });
    await expect(kube.request("GET", "/")).rejects.toMatchObject({
      code: "io",
      message: expect.stringMatching(/cannot reach http:.*: connection refused/),
    });
  });

  async function httpServer(): Promise<Server> {
    const { createServer: create } = await import("node:http");
    return create(tell);
  }
});

describe("a credential plugin", () => {
  /** A plugin that counts its runs and gives the number as its token. */
  const plugin = (status: string) =>
    write(
      "plugin",
      `#!/bin/sh\necho run >>${directory}/runs\nn=$(wc -l <${directory}/runs)\necho '{"status":{${status}}}'\n`,
    );
  const exec = (command: string) => ({ exec: { command, apiVersion: "client.authentication.k8s.io/v1" } });
  const authorizations = () => {
    const seen: (string | undefined)[] = [];
    const see = (code: number) => (response: ServerResponse, request: IncomingMessage) => {
      seen.push(request.headers.authorization);
      response.writeHead(code).end("{}");
    };
    return { seen, see };
  };

  test("is run once until what it gave expires or is refused", async () => {
    const { seen, see } = authorizations();
    await using server = await ScriptedServer.start(see(200), see(200), see(401), see(200), see(200));
    const kube = await client({ server: server.url }, exec(plugin(`"token":"'$n'"`)));
    for (let n = 0; n < 4; n++) await kube.request("GET", "/");
    expect(seen).toEqual(["Bearer 1", "Bearer 1", "Bearer 1", "Bearer 2", "Bearer 2"]);
  });

  test("whose token has expired is run again", async () => {
    const { seen, see } = authorizations();
    await using server = await ScriptedServer.start(see(200), see(200));
    const expired = `"token":"'$n'","expirationTimestamp":"2020-01-01T00:00:00Z"`;
    const kube = await client({ server: server.url }, exec(plugin(expired)));
    for (let n = 0; n < 2; n++) await kube.request("GET", "/");
    expect(seen).toEqual(["Bearer 1", "Bearer 2"]);
  });

  test("is told that nobody is there to ask, and may give a certificate", async () => {
    const credential = { status: { clientCertificateData: PKI.bob.cert, clientKeyData: PKI.bob.key } };
    const script = `#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >${directory}/info\ncat ${write("credential", JSON.stringify(credential))}\n`;
    const cluster = {
      server: `https://127.0.0.1:${await tlsServer()}`,
      "tls-server-name": "kubernetes",
      "certificate-authority-data": base64(PKI.ca),
    };
    const kube = await client(cluster, exec(write("plugin", script)));
    expect(await kube.request("GET", "/")).toMatchObject({ client: "bob" });
    expect(await Bun.file(`${directory}/info`).json()).toEqual({
      kind: "ExecCredential",
      apiVersion: "client.authentication.k8s.io/v1",
      spec: { interactive: false },
    });
  });

  test.each([
    ["fails", "#!/bin/sh\necho no login >&2\nexit 3\n", /plugin .* ended with 3: no login/],
    ["prints nothing", "#!/bin/sh\n", /printed no JSON/],
    ["gives nothing", "#!/bin/sh\necho '{}'\n", /neither a token nor a certificate/],
  ])("that %s is named", async (_, script, message) => {
    const kube = await client({ server: "http://127.0.0.1:1" }, exec(write("plugin", script)));
    await expect(kube.request("GET", "/")).rejects.toThrow(message);
  });
});

test("Retry-After is in seconds or a date", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(parseRetryAfter("7", now)).toBe(7000);
  expect(parseRetryAfter("Thu, 01 Jan 2026 00:00:05 GMT", now)).toBe(5000);
  expect(parseRetryAfter("Thu, 01 Jan 2020 00:00:05 GMT", now)).toBe(0);
  expect(parseRetryAfter("soon", now)).toBeUndefined();
  expect(parseRetryAfter(null, now)).toBeUndefined();
});
