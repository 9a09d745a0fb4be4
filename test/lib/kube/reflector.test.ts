import { afterEach, describe, expect, test, vi } from "vitest";
import { connectKube } from "../../../lib/kube/client.ts";
import type { Receiver, Resource } from "../../../lib/kube/feed.ts";
import { type ReflectorTimes, reflect } from "../../../lib/kube/reflector.ts";
import { SharedServer } from "../../../lib/kube/shared.ts";
import {
  type Answer,
  bookmark,
  cut,
  event,
  INITIAL_END,
  list,
  named,
  openWatch,
  ScriptedServer,
  status,
  text,
  watch,
} from "./scripted.ts";

const TIMES: ReflectorTimes = {
  openMs: 5000,
  idleMs: 5000,
  listIdleMs: 5000,
  watchSeconds: [300, 600],
  backoff: { firstMs: 1, maxMs: 5 },
  relistMs: 1,
  deniedMs: 1,
  absentMs: 1,
  // In what is not about it a watch is good when it has told something.
  settleMs: 60_000,
};
const SERVICES: Resource = { name: "services", path: "/api/v1/services", labelSelector: "!a/b", fieldSelector: "c!=d" };

/** Writes down what it is told, one word a call. */
class Listener implements Receiver {
  readonly told: string[] = [];

  listing(): void {
    this.told.push("listing");
  }
  object(raw: unknown): void {
    this.told.push(`+${nameOf(raw)}`);
  }
  deleted(raw: unknown): void {
    this.told.push(`-${nameOf(raw)}`);
  }
  malformed(text: string, reason: string): void {
    this.told.push(`malformed ${text} ${reason}`);
  }
  listed(): void {
    this.told.push("listed");
  }
  connection(state: "up" | "down", reason?: string): void {
    this.told.push(reason === undefined ? state : `${state} ${reason}`);
  }
}

function nameOf(raw: unknown): string {
  return String(JSON.parse(JSON.stringify(raw)).metadata?.name);
}

interface Story {
  readonly server: ScriptedServer;
  readonly listener: Listener;
  readonly shared: SharedServer;
  /** Waits until that was told. */
  until(...words: readonly string[]): Promise<void>;
  untilRequests(count: number): Promise<void>;
}

interface StoryOptions {
  readonly times?: Partial<ReflectorTimes>;
  readonly resource?: Resource;
  /** The server is known to have no WatchList unless said otherwise. */
  readonly watchList?: boolean;
  readonly random?: () => number;
}

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function reflecting(script: readonly Answer[], options: StoryOptions = {}): Promise<Story> {
  const server = await ScriptedServer.start(...script);
  const listener = new Listener();
  const shared = new SharedServer();
  shared.watchList = options.watchList ?? false;
  const abort = new AbortController();
  const times = { ...TIMES, ...options.times };
  const client = await connectKube({ master: server.url, env: {} });
  const { resource = SERVICES, random = () => 0.5 } = options;
  const running = reflect({ client, resource, receiver: listener, shared, times, random }, abort.signal);
  cleanups.push(async () => {
    abort.abort();
    await running;
    await server[Symbol.asyncDispose]();
  });
  const wait = (look: () => void) => vi.waitFor(look, { timeout: 10_000, interval: 5 });
  return {
    server,
    listener,
    shared,
    until: (...words) => wait(() => expect(listener.told).toEqual(expect.arrayContaining([...words]))),
    untilRequests: (count) => wait(() => expect(server.requests.length).toBeGreaterThanOrEqual(count)),
  };
}

describe("without WatchList", () => {
  test("lists from the server's cache, then watches from the list's version with bookmarks", async () => {
    const story = await reflecting([
      list("7", named("a", "3"), named("b", "5")),
      openWatch(event("ADDED", named("c", "8"))),
    ]);
    await story.until("+c");
    expect(story.listener.told).toEqual(["listing", "+a", "+b", "listed", "up", "+c"]);
    expect(story.server.requests.map((url) => url.pathname)).toEqual(["/api/v1/services", "/api/v1/services"]);
    expect(story.server.query(0)).toEqual({ resourceVersion: "0", labelSelector: "!a/b", fieldSelector: "c!=d" });
    expect(story.server.query(1)).toEqual({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: "7",
      timeoutSeconds: "450",
      labelSelector: "!a/b",
      fieldSelector: "c!=d",
    });
  });

  test("a watch that the server ends goes on from the last event or bookmark, and nobody is told", async () => {
    const story = await reflecting([
      list("7"),
      watch(event("MODIFIED", named("a", "9"))),
      watch(bookmark("12")),
      watch(event("DELETED", named("a", "15"))),
    ]);
    await story.untilRequests(5);
    expect([1, 2, 3, 4].map((n) => story.server.query(n).resourceVersion)).toEqual(["7", "9", "12", "15"]);
    expect(story.listener.told).toEqual(["listing", "listed", "up", "+a", "-a"]);
  });

  test("410 leads to a list that is not older than what was seen, and never to a read of the database", async () => {
    const gone = JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 410, message: "too old" } });
    const story = await reflecting([
      list("7"),
      watch(event("ADDED", named("a", "9")), gone),
      list("20"),
      status(410),
      list("30"),
    ]);
    await story.untilRequests(6);
    const versions = [0, 1, 2, 3, 4, 5].map((n) => story.server.query(n).resourceVersion);
    expect(versions).toEqual(["0", "7", "9", "20", "20", "30"]);
    expect(story.listener.told.filter((word) => word.startsWith("down"))).toEqual([]);
  });

  test("a version that the server has not come to is given up for any", async () => {
    const tooLarge = JSON.stringify({ code: 504, details: { causes: [{ reason: "ResourceVersionTooLarge" }] } });
    const story = await reflecting([list("700"), status(410), text(tooLarge, 504), list("5")]);
    await story.untilRequests(5);
    expect([2, 3, 4].map((n) => story.server.query(n).resourceVersion)).toEqual(["700", "0", "5"]);
  });

  test("a watch that the server fails again and again is given up for a list", async () => {
    const failing = watch(JSON.stringify({ type: "ERROR", object: { code: 500, message: "broken" } }));
    const story = await reflecting([list("7"), failing, failing, failing, list("8")]);
    await story.untilRequests(6);
    expect([3, 4, 5].map((n) => story.server.query(n).watch)).toEqual(["true", undefined, "true"]);
  });

  test("what is cut in the middle of a line is read again", async () => {
    const story = await reflecting([
      list("7"),
      cut(`${event("ADDED", named("a", "9"))}\n{"type":"ADDED","object":{"metadata":{"name":"b","resou`),
      openWatch(event("ADDED", named("b", "10"))),
    ]);
    await story.until("+b");
    expect(story.server.query(2).resourceVersion).toBe("9");
    expect(story.listener.told).toEqual(["listing", "listed", "up", "+a", "+b"]);
  });

  test("a list that is cut is read again, and is not taken for the whole", async () => {
    const story = await reflecting([
      cut('{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}},'),
      list("8"),
    ]);
    await story.until("listed");
    expect(story.listener.told.slice(0, 2)).toEqual(["listing", "+a"]);
    expect(story.listener.told.slice(3)).toEqual(["listing", "listed", "up"]);
    expect(story.listener.told[2]).toMatch(/^down cannot reach/);
  });

  test("what is no JSON or no event is told of, and the others go on", async () => {
    const story = await reflecting([
      text('{"metadata":{"resourceVersion":"7"},"items":[{"a":tru},{"metadata":{"name":"b"}}]}'),
      openWatch("{oops}", '{"type":"NEW"}', event("ADDED", named("c", "9"))),
    ]);
    await story.until("+c");
    expect(story.listener.told).toEqual([
      "listing",
      'malformed {"a":tru} is no JSON',
      "+b",
      "listed",
      "up",
      "malformed {oops} is no event of a watch",
      'malformed {"type":"NEW"} is no event of a watch',
      "+c",
    ]);
  });
});

describe("with WatchList", () => {
  test("the first objects and the changes after them come in one answer", async () => {
    const story = await reflecting(
      [
        openWatch(
          event("ADDED", named("a", "9")),
          event("ADDED", named("b", "3")),
          bookmark("10", INITIAL_END),
          event("MODIFIED", named("b", "11")),
        ),
      ],
      { watchList: true },
    );
    await story.until("listed", "up");
    await vi.waitFor(() => expect(story.listener.told).toEqual(["listing", "+a", "+b", "listed", "up", "+b"]));
    expect(story.server.query(0)).toMatchObject({
      watch: "true",
      sendInitialEvents: "true",
      resourceVersionMatch: "NotOlderThan",
      allowWatchBookmarks: "true",
      resourceVersion: "0",
    });
  });

  test("one that ends before all was told is begun anew", async () => {
    const story = await reflecting(
      [watch(event("ADDED", named("a", "9"))), openWatch(event("ADDED", named("a", "9")), bookmark("10", INITIAL_END))],
      { watchList: true },
    );
    await story.until("listed");
    expect(story.server.query(1)).toMatchObject({ sendInitialEvents: "true", resourceVersion: "0" });
    expect(story.shared.watchList).toBe(true);
  });

  const oldEtcd = "the required storage feature RequestWatchProgress is disabled";
  test.each<[string, Answer]>([
    ["refuses it", status(422, "sendInitialEvents is forbidden")],
    ["has an etcd that is too old", watch(JSON.stringify({ type: "ERROR", object: { code: 500, message: oldEtcd } }))],
    ["sends objects but not their end", openWatch(event("ADDED", named("a", "9")), bookmark("10"))],
    ["falls silent after the objects", openWatch(event("ADDED", named("a", "9")))],
  ])("a server that %s is asked for a list, then and later, and nobody is told", async (_, answer) => {
    const story = await reflecting([answer, list("7"), status(410), list("8")], {
      watchList: true,
      times: { listIdleMs: 50 },
    });
    await story.untilRequests(5);
    expect(story.shared.watchList).toBe(false);
    expect([1, 3].map((n) => story.server.query(n).watch)).toEqual([undefined, undefined]);
    expect(story.listener.told.filter((word) => word.startsWith("down"))).toEqual([]);
  });

  test.each([401, 403, 429, 503])("%i says nothing about WatchList: it is tried again", async (code) => {
    const story = await reflecting([status(code), openWatch(bookmark("10", INITIAL_END))], { watchList: true });
    await story.until("listed");
    expect(story.server.query(1).sendInitialEvents).toBe("true");
  });
});

describe("trouble", () => {
  test("is told of once, and so is its end; what was known is not taken back", async () => {
    const story = await reflecting([
      list("7", named("a", "3")),
      cut(`${bookmark("8")}\n`),
      status(500),
      status(500),
      status(503),
      openWatch(bookmark("9")),
    ]);
    await vi.waitFor(() => expect(story.listener.told.filter((word) => word === "up")).toHaveLength(2));
    expect(story.listener.told).toEqual([
      "listing",
      "+a",
      "listed",
      "up",
      expect.stringMatching(/^down the API server answered 500 to GET \/api\/v1\/services/),
      "up",
    ]);
  });

  test("a server that is gone is tried until it is back", async () => {
    const story = await reflecting([
      list("7"),
      openWatch(event("ADDED", named("z", "8"))),
      openWatch(event("ADDED", named("a", "9"))),
    ]);
    await story.until("+z");
    await story.server.stop();
    await vi.waitFor(() => expect(story.listener.told.at(-1)).toMatch(/^down cannot reach http/));
    await story.server.listen();
    await story.until("+a");
    expect(story.server.query(2).resourceVersion).toBe("8");
    expect(story.listener.told.map((word) => word.split(" ")[0])).toEqual([
      "listing",
      "listed",
      "up",
      "+z",
      "down",
      "+a",
      "up",
    ]);
  });

  test("a server that asks to be left alone for a while is left alone", async () => {
    const times: number[] = [];
    const timed =
      (answer: Answer): Answer =>
      (...args) => {
        times.push(performance.now());
        return answer(...args);
      };
    const busy = status(429, "later", { "Retry-After": "1" });
    const story = await reflecting([timed(busy), timed(list("7"))]);
    await story.until("listed");
    const [first = 0, second = 0] = times;
    expect(second - first).toBeGreaterThanOrEqual(990);
    expect(story.listener.told).toContain("down the API server answered 429 to GET /api/v1/services: later");
  });

  test("a watch that falls silent is given up, and goes on elsewhere with nobody told", async () => {
    const story = await reflecting(
      [list("7"), openWatch(event("ADDED", named("a", "9"))), openWatch(event("ADDED", named("b", "10")))],
      { times: { idleMs: 100 } },
    );
    await story.until("+b");
    expect(story.server.query(2).resourceVersion).toBe("9");
    expect(story.listener.told.filter((word) => word.startsWith("down"))).toEqual([]);
  });

  test("a server that takes requests and never answers is told of", async () => {
    const story = await reflecting([() => {}], { times: { openMs: 50 } });
    await vi.waitFor(() => expect(story.listener.told.join("\n")).toMatch(/down nothing came from http.* for 0.05 s/));
  });

  test("a watch that ends at once is trouble, not to be tried for ever without a pause", async () => {
    const story = await reflecting([list("7"), watch(), watch(), openWatch(bookmark("8"))]);
    await vi.waitFor(() => expect(story.listener.told.at(-1)).toBe("up"));
    await story.untilRequests(4);
    await vi.waitFor(() => expect(story.listener.told.filter((word) => word === "up")).toHaveLength(2));
    expect(story.listener.told).toContain("down the watch ended at once");
  });

  test("a watch in which nothing happens is good again after a while", async () => {
    const story = await reflecting([list("7"), status(500), openWatch()], { times: { settleMs: 20 } });
    await vi.waitFor(() => expect(story.listener.told.filter((word) => word === "up")).toHaveLength(2));
    expect(story.listener.told.at(-2)).toMatch(/^down/);
  });

  test("a right that is missing is named with the role's verbs, and asked for again", async () => {
    const refusal = 'services is forbidden: User "x" cannot list resource "services"';
    const story = await reflecting([status(403, refusal), list("7")]);
    await story.until("listed");
    expect(story.listener.told[1]).toContain(refusal);
    expect(story.listener.told[1]).toContain("a role with the verbs list and watch on services is needed");
  });

  test("credentials that are not accepted are named", async () => {
    const story = await reflecting([status(401, "Unauthorized"), list("7")]);
    await story.until("listed");
    expect(story.listener.told[1]).toContain("the token or client certificate is not accepted");
  });

  test("a kind that the server does not have is as good as empty if it may be absent, and is looked for again", async () => {
    const resource = { ...SERVICES, optional: true };
    const story = await reflecting([status(404), list("7", named("a", "3"))], { resource });
    await story.until("+a");
    expect(story.listener.told.slice(0, 7)).toEqual(["listing", "listing", "listed", "up", "listing", "+a", "listed"]);
  });

  test("a kind that must be there and is not is trouble", async () => {
    const story = await reflecting([status(404, "not found")]);
    await vi.waitFor(() => expect(story.listener.told.join("\n")).toContain("down the API server answered 404"));
  });

  test("one reflector that finds the server again wakes those that still wait", async () => {
    const shared = new SharedServer();
    const { signal } = new AbortController();
    const waiting = shared.wait(3_600_000, signal);
    shared.wake();
    await waiting;
  });
});

test("an abort ends it at once, in a watch and in a pause", async () => {
  for (const script of [[list("7"), openWatch(bookmark("8"))], [status(503, "", { "Retry-After": "3600" })]]) {
    const server = await ScriptedServer.start(...script);
    const listener = new Listener();
    const abort = new AbortController();
    const client = await connectKube({ master: server.url, env: {} });
    const options = { client, resource: SERVICES, receiver: listener, shared: new SharedServer(), times: TIMES };
    const running = reflect({ ...options, shared: Object.assign(options.shared, { watchList: false }) }, abort.signal);
    await vi.waitFor(() => expect(listener.told.join()).toMatch(/up|down/));
    abort.abort();
    await running;
    await server[Symbol.asyncDispose]();
  }
});
