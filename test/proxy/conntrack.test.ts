import { expect, test } from "vitest";
import { fakeConntrack } from "../../lib/conntrack/conntrack.fake.ts";
import type { Flow } from "../../lib/conntrack/conntrack.ts";
import { formatAddress, parseAddress } from "../../lib/net/address.ts";
import { FlowCleaner, staleFlows } from "../../proxy/conntrack.ts";
import { logged } from "./sync/backend.ts";

/** `client:port > frontend:port = endpoint:port`, IPv4. */
function flow(text: string, proto = "udp"): Flow {
  const [client = "", rest = ""] = text.split(" > ");
  const [frontend = "", endpoint = ""] = rest.split(" = ");
  const place = (one: string) => {
    const [address = "", port] = one.split(":");
    return { address: parseAddress(address), port: Number(port) };
  };
  const [from, to, by] = [place(client), place(frontend), place(endpoint)];
  return {
    family: 4,
    proto,
    orig: { src: from.address, dst: to.address, sport: from.port, dport: to.port },
    reply: { src: by.address, dst: from.address, sport: by.port, dport: from.port },
  };
}

const LOCAL = new Set(["192.168.0.1"]);
const at = (address: string, port: number) => ({ address, port });

test("row 1: flows to an endpoint that serves no longer are stale, those to others are not", () => {
  const stale = staleFlows([{ frontends: [at("10.96.0.10", 53)], serving: [at("10.1.0.2", 5353)] }], LOCAL);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:53 = 10.1.0.3:5353"))).toBe(true);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:53 = 10.1.0.2:5353"))).toBe(false);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:53 = 10.1.0.2:53"))).toBe(true);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:54 = 10.1.0.3:5353"))).toBe(false);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.11:53 = 10.1.0.3:5353"))).toBe(false);
});

test("row 1: a flow that began before there were rules, and so goes to the frontend itself, is stale", () => {
  const stale = staleFlows([{ frontends: [at("10.96.0.10", 53)], serving: [at("10.1.0.2", 5353)] }], LOCAL);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:53 = 10.96.0.10:53"))).toBe(true);
});

test("row 2: without any endpoint all flows of a frontend are stale", () => {
  const stale = staleFlows([{ frontends: [at("10.96.0.10", 53), at("", 30053)], serving: [] }], LOCAL);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:53 = 10.1.0.3:5353"))).toBe(true);
  expect(stale(flow("10.0.0.1:4000 > 192.168.0.1:30053 = 10.1.0.3:5353"))).toBe(true);
});

test("a node port's flows are those that were led elsewhere or came to this host, not anybody's of that port", () => {
  const stale = staleFlows([{ frontends: [at("", 30053)], serving: [at("10.1.0.2", 5353)] }], LOCAL);
  expect(stale(flow("10.0.0.1:4000 > 192.168.0.1:30053 = 10.1.0.3:5353"))).toBe(true);
  expect(stale(flow("10.0.0.1:4000 > 192.168.0.9:30053 = 10.1.0.3:5353"))).toBe(true);
  expect(stale(flow("10.0.0.1:4000 > 192.168.0.1:30053 = 192.168.0.1:30053"))).toBe(true);
  expect(stale(flow("10.0.0.1:4000 > 8.8.8.8:30053 = 8.8.8.8:30053"))).toBe(false);
  expect(stale(flow("10.0.0.1:4000 > 192.168.0.1:30053 = 10.1.0.2:5353"))).toBe(false);
});

test("row 4: of TCP flows those are stale whose endpoint is gone, not those that were led nowhere", () => {
  const cleanup = { frontends: [at("10.96.0.10", 80), at("", 30080)], serving: [at("10.1.0.2", 8080)] };
  const stale = staleFlows([cleanup], LOCAL, "tcp");
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:80 = 10.1.0.3:8080", "tcp"))).toBe(true);
  expect(stale(flow("10.0.0.1:4000 > 192.168.0.1:30080 = 10.1.0.3:8080", "tcp"))).toBe(true);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:80 = 10.1.0.2:8080", "tcp"))).toBe(false);
  expect(stale(flow("10.0.0.1:4000 > 10.96.0.10:80 = 10.96.0.10:80", "tcp"))).toBe(false);
});

test("row 3: what is queued while flows are looked through is done in one more pass, and the later word counts", async () => {
  const conntrack = fakeConntrack([
    flow("10.0.0.1:4000 > 10.96.0.10:53 = 10.1.0.3:5353"),
    flow("10.0.0.1:4001 > 10.96.0.10:53 = 10.1.0.2:5353"),
    flow("10.0.0.1:4002 > 10.96.0.11:53 = 10.1.0.3:5353"),
    flow("10.0.0.1:4003 > 10.96.0.10:53 = 10.1.0.9:5353", "tcp"),
  ]);
  const passes: number[] = [];
  const cleaner = new FlowCleaner({
    ...{ conntrack, log: logged().log, localAddresses: () => LOCAL },
    cleaned: (_, deleted) => passes.push(deleted),
  });
  cleaner.queue(4, "udp", [{ frontends: [at("10.96.0.10", 53)], serving: [] }]);
  cleaner.queue(4, "udp", [{ frontends: [at("10.96.0.10", 53)], serving: [at("10.1.0.2", 5353)] }]);
  cleaner.queue(4, "udp", [{ frontends: [at("10.96.0.11", 53)], serving: [] }]);
  await cleaner.settled();
  expect(passes).toEqual([2]);
  const left = await conntrack.listFlows({ family: 4 });
  expect(left.map(({ proto, reply }) => `${proto} ${formatAddress(reply.src)}`)).toEqual([
    "udp 10.1.0.2",
    "tcp 10.1.0.9",
  ]);
});

test("flows that cannot be deleted are a warning, and the next ones are tried", async () => {
  const { log, lines } = logged();
  const conntrack = fakeConntrack([flow("10.0.0.1:4000 > 10.96.0.10:53 = 10.1.0.3:5353")]);
  let failing = true;
  const passes: number[] = [];
  const cleaner = new FlowCleaner({
    conntrack: {
      ...conntrack,
      deleteFlowsIf: (filter, doomed) =>
        failing ? Promise.reject(new Error("no answer")) : conntrack.deleteFlowsIf(filter, doomed),
    },
    ...{ log, localAddresses: () => LOCAL, cleaned: (_, deleted) => passes.push(deleted) },
  });
  cleaner.queue(4, "udp", [{ frontends: [at("10.96.0.10", 53)], serving: [] }]);
  await cleaner.settled();
  expect(lines.join("")).toContain("no answer");
  failing = false;
  cleaner.queue(4, "udp", [{ frontends: [at("10.96.0.10", 53)], serving: [] }]);
  await cleaner.settled();
  expect(passes).toEqual([1]);
});
