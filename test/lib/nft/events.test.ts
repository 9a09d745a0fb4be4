import { afterAll, beforeAll, expect, test } from "vitest";
import { sendBatch } from "../../../lib/nft/batch.ts";
import { type NftEvents, nftEvents } from "../../../lib/nft/events.ts";
import { NftTransaction } from "../../../lib/nft/transaction.ts";
import { type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

let host: Host;
let netns: Netns;
let events: NftEvents;
beforeAll(async () => {
  host = await Host.create();
  netns = openNetns(`/proc/${host.pid}/ns/net`);
  events = nftEvents(netns);
});
afterAll(async () => {
  events.close();
  netns.close();
  await host.destroy();
});

const programs = () => events.poll().map(({ program }) => program);

test("a transaction of nft is one event, however many things it changes", async () => {
  expect(events.poll()).toEqual([]);
  await host.ok(["nft", "-f", "-"], {
    stdin: "table ip t {\n set s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }\n chain c { }\n}\n",
  });
  const told = events.poll();
  expect(told).toEqual([{ pid: expect.any(Number), program: "nft" }]);
  expect(told[0]?.pid).toBeGreaterThan(1);
  expect(events.poll()).toEqual([]);
});

test("iptables-nft is heard of, reading is not, and what fails is not", async () => {
  events.poll();
  await host.ok(["nft", "list", "ruleset"]);
  await host.run(["nft", "delete", "table", "ip", "absent"]);
  expect(programs()).toEqual([]);
  await host.ok(["iptables-nft", "-N", "TEST"]);
  expect(programs()).toEqual(["iptables-nft"]);
});

test("our own transactions are told of as those of the thread that made them", () => {
  events.poll();
  const own = new NftTransaction().addTable("ip", "own").deleteTable("ip", "own").plain ?? [];
  sendBatch(own, netns);
  sendBatch(own, netns);
  const [first, second, ...more] = events.poll();
  expect(first).toEqual(second);
  expect(more).toEqual([]);
  expect(first).toEqual(events.own);
});

test("more than the queue holds becomes `unknown`, and listening goes on", async () => {
  events.poll();
  const toggle = new NftTransaction().addTable("ip", "many").deleteTable("ip", "many").plain ?? [];
  for (let i = 0; i < 2000; i++) sendBatch(toggle, netns);
  expect(programs()).toContain("unknown");
  await host.ok(["nft", "add table ip after"]);
  expect(programs()).toEqual(["nft"]);
});
