/**
 * Peers from an etcd with users, of whom ours has rights on the network's keys alone.
 *
 * @module
 */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../../lib/daemon/clock.ts";
import { type EtcdSourceSettings, etcdSource } from "../../../overlay/source/etcd.ts";
import type { Source } from "../../../overlay/source/source.ts";
import { Host } from "../../e2e/host.ts";
import { A, B, claimOf, NETWORK } from "./cases.ts";
import { type Etcd, startEtcd } from "./etcd.ts";
import { openEtcdWorld, SILENT } from "./etcdworld.ts";
import { Recorder } from "./recorder.ts";

let host: Host;
let etcd: Etcd;
let source: Source | undefined;

beforeAll(async () => {
  host = await Host.create();
  etcd = await startEtcd({ host, user: true });
  const world = await openEtcdWorld(etcd);
  await world.setNetwork(NETWORK);
  await world.setHost(B);
});
afterAll(async () => {
  await etcd.stop();
  await host.destroy();
});
afterEach(async () => await source?.stop());

async function listen(more: Partial<EtcdSourceSettings> = {}): Promise<Recorder> {
  const settings = { ...(await etcd.settings()), replaceLease: false, ...more };
  source = etcdSource(settings, { log: SILENT, clock: systemClock });
  const heard = new Recorder();
  source.start(heard);
  source.claim(claimOf(A));
  return heard;
}

const reasonOf = (heard: Recorder) => heard.connections.at(-1)?.replace(/^.*?:\d+: /, "");

test("a user with rights on the network's keys alone has all that it takes", async () => {
  const heard = await listen({ ttl: 6000, renewMargin: 3000 });
  const { expires } = await heard.answered("held");
  await heard.until("b", () => heard.hosts.includes("b 10.244.2.0/24"));
  await heard.until("renewed", () => heard.answer?.kind === "held" && Number(heard.answer.expires) > Number(expires));
  expect(heard.connections).toEqual(["up"]);
});

test("a token that nobody used for long is asked for anew", async () => {
  const heard = await listen();
  await heard.answered("held");
  await Bun.sleep(3000);
  source?.claim(claimOf({ ...A, name: "renamed" }));
  await heard.answered("held", 1);
  expect(heard.connections).toEqual(["up"]);
});

test("tokens that a restart of etcd has made worthless are asked for anew", async () => {
  const heard = await listen();
  await heard.answered("held");
  await heard.until("connection", () => heard.connections.at(-1) === "up");
  await etcd.kill();
  await etcd.start();
  await heard.until("connection", () => heard.connections.length > 1 && heard.connections.at(-1) === "up");
});

test("a wrong password is told as such", async () => {
  const heard = await listen({ password: "wrong" });
  await heard.until("a reason", () => heard.connections.length > 0);
  expect(reasonOf(heard)).toBe("authentication failed, invalid user ID or password");
});

test("a user without rights is told so", async () => {
  const heard = await listen({ prefix: "/other" });
  await heard.until("a reason", () => heard.connections.length > 0);
  expect(reasonOf(heard)).toBe("permission denied");
});

test("an etcd that is frozen as we start is told of, and heard once it goes on", async () => {
  await etcd.freeze();
  const heard = await listen();
  await heard.until("a reason", () => heard.connections.length > 0, 15_000);
  await etcd.thaw();
  await heard.answered("held");
});
