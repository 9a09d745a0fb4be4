import { afterAll, expect, test } from "vitest";
import { serveHttp } from "../../../lib/sys/http.ts";

const server = serveHttp({ host: "127.0.0.1", port: 0, answer: (path) => new Response(path) });
afterAll(() => server.close());

/** What comes back for these very bytes. */
function answerTo(request: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  const socket = {
    open: (opened: { write(text: string): unknown }) => void opened.write(request),
    data(_: unknown, bytes: Buffer) {
      text += bytes.toString();
      if (/\r\n\r\n./s.test(text)) resolve(text);
    },
    close: () => resolve(text),
  };
  void Bun.connect({ hostname: "127.0.0.1", port: server.port, socket });
  return promise;
}

// HAProxy's own check is OPTIONS / HTTP/1.0, and others name no host either.
test.each([
  ["GET /healthz HTTP/1.0\r\n\r\n", "/healthz"],
  ["OPTIONS / HTTP/1.0\r\n\r\n", "/"],
  ["GET /healthz?now HTTP/1.1\r\nHost: \r\n\r\n", "/healthz"],
  ["GET /healthz?now HTTP/1.1\r\nHost: a b[\r\n\r\n", "/healthz"],
  ["GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "/healthz"],
  ["GET http://node.example/healthz?now HTTP/1.1\r\nHost: node.example\r\n\r\n", "/healthz"],
  ["GET http://node.example HTTP/1.1\r\nHost: node.example\r\n\r\n", "/"],
])("%j is answered", async (request, path) => {
  const answer = await answerTo(request);
  expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  expect(answer.replace(/^.*?\r\n\r\n/s, "")).toBe(path);
});
