import { expect, test } from "vitest";
import { eventRecorder } from "../../proxy/events.ts";
import { logged } from "./sync/backend.ts";

function opened(answer: () => Promise<unknown> = async () => undefined) {
  const posted: (readonly [string, unknown])[] = [];
  const at = { now: Date.UTC(2026, 0, 1, 0, 0, 0, 123) };
  const { log, lines } = logged();
  const client = {
    request(method: string, path: string, options?: { readonly body?: unknown }) {
      posted.push([`${method} ${path}`, options?.body]);
      return answer();
    },
  };
  return { posted, at, lines, recorder: eventRecorder({ client, nodeName: "n1", log, now: () => at.now }) };
}

test("an Event about the node is what events.k8s.io takes", () => {
  const { recorder, posted } = opened();
  recorder.record({ type: "Normal", reason: "Starting", action: "StartKubeProxy", note: "" });
  expect(posted).toEqual([
    [
      "POST /apis/events.k8s.io/v1/namespaces/default/events",
      {
        apiVersion: "events.k8s.io/v1",
        kind: "Event",
        metadata: { namespace: "default", name: expect.stringMatching(/^n1\.[0-9a-f]+$/) },
        eventTime: "2026-01-01T00:00:00.123000Z",
        reportingController: "kube-proxy",
        reportingInstance: "kube-proxy-n1",
        type: "Normal",
        reason: "Starting",
        action: "StartKubeProxy",
        note: "",
        regarding: { apiVersion: "v1", kind: "Node", name: "n1" },
      },
    ],
  ]);
});

test("an Event about a Service goes to its namespace", () => {
  const { recorder, posted } = opened();
  recorder.record({ type: "Warning", reason: "R", action: "A", note: "why", service: "ns/web" });
  expect(posted[0]).toMatchObject([
    "POST /apis/events.k8s.io/v1/namespaces/ns/events",
    { metadata: { namespace: "ns" }, regarding: { kind: "Service", namespace: "ns", name: "web" } },
  ]);
});

test("a flood of Events is cut off, and refills with time", () => {
  const { recorder, posted, at } = opened();
  const record = () => recorder.record({ type: "Warning", reason: "R", action: "A", note: "why" });
  for (let i = 0; i < 100; i++) record();
  expect(posted).toHaveLength(10);
  at.now += 60_000;
  record();
  record();
  expect(posted).toHaveLength(11);
});

test("an Event that cannot be posted is a line in the log and nothing else", async () => {
  const { recorder, lines } = opened(() => Promise.reject(new Error("forbidden")));
  recorder.record({ type: "Normal", reason: "Starting", action: "A", note: "" });
  await Promise.resolve();
  await Promise.resolve();
  expect(lines.join("")).toContain("forbidden");
});
