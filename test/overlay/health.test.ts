import { afterEach, expect, test } from "vitest";
import { type Clock, systemClock } from "../../lib/daemon/clock.ts";
import type { Listener } from "../../lib/daemon/listener.ts";
import { openLog } from "../../lib/daemon/log.ts";
import type { AgentTrouble } from "../../lib/overlay/state.ts";
import { Health, openServers } from "../../overlay/health.ts";
import { OverlayMetrics } from "../../overlay/metrics.ts";

const opened: Listener[] = [];

afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

test("an agent is healthy while everything is compared in time, and from its start on", () => {
  const clock = handClock();
  const health = new Health({ clock, comparePeriod: 1000, trouble: () => undefined });
  clock.ms = 13_000;
  expect(health.alive().status).toBe(200);
  clock.ms = 13_001;
  expect(health.alive().status).toBe(503);
  health.synced();
  clock.ms = 20_000;
  expect(health.alive().status).toBe(200);
});

test("trouble makes it unready, with the reason, and not unhealthy", async () => {
  let trouble: AgentTrouble | undefined = { code: 51, message: "10.244.1.0/24 is now b's" };
  const health = new Health({ clock: handClock(), comparePeriod: 1000, trouble: () => trouble });
  const answer = health.ready();
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({ ready: false, code: 51, message: "10.244.1.0/24 is now b's" });
  expect(health.alive().status).toBe(200);
  trouble = undefined;
  expect(await health.ready().json()).toEqual({ ready: true });
});

test("each server answers its own paths; one address serves all", async () => {
  const [first, second] = [await freePort(), await freePort()];
  const metrics = serve(`127.0.0.1:${first}`, `127.0.0.1:${second}`);
  metrics.peers(3);
  expect(await statuses(first)).toEqual({ "/healthz": 200, "/readyz": 200, "/metrics": 404, "/": 404 });
  expect(await statuses(second)).toEqual({ "/healthz": 404, "/readyz": 404, "/metrics": 200, "/": 404 });
  const third = await freePort();
  serve(`127.0.0.1:${third}`, `127.0.0.1:${third}`);
  expect(await statuses(third)).toEqual({ "/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404 });
  const scraped = await fetch(`http://127.0.0.1:${second}/metrics`);
  expect(scraped.headers.get("content-type")).toMatch(/^text\/plain; version=0.0.4/);
  expect(await scraped.text()).toContain("\ntsnet_overlay_peers 3\n");
});

test("without an address nothing listens", async () => {
  const served: string[] = [];
  serve("", "", (line) => served.push(line));
  expect(served).toEqual([]);
  serve(`127.0.0.1:${await freePort()}`, "", (line) => served.push(line));
  expect(served).toEqual([expect.stringContaining('"serving /healthz, /readyz"')]);
});

test("metrics tell peers, repairs by kind, connection, comparisons and the lease", async () => {
  const metrics = new OverlayMetrics();
  expect(await lines(metrics)).toEqual([
    "lease_expires_timestamp_seconds none",
    ...["peers 0", "ready 0", "refused_leases 0"],
    ...["address", "device", "fdb", "file", "neighbour", "route", "rules", "sysctl"].map(
      (kind) => `repairs_total{kind="${kind}"} 0`,
    ),
    ...["source_connected 0", "sync_age_seconds none", "syncs_total 0"],
  ]);
  metrics.peers(4);
  metrics.refused(1);
  metrics.connected(true);
  metrics.repaired("route", 2);
  metrics.synced(12);
  metrics.leaseExpires(1_800_000_000_000);
  const told = await lines(metrics);
  expect(told).toContain("lease_expires_timestamp_seconds 1800000000");
  expect(told).toContain('repairs_total{kind="route"} 2');
  expect(told).toContain("syncs_total 1");
  expect(told).toContain("source_connected 1");
  expect(told).not.toContain("sync_age_seconds none");
});

test("a peer that does not answer has no round-trip time, one that left has nothing", async () => {
  const metrics = new OverlayMetrics();
  metrics.rtt("a", 4, 1.5);
  metrics.rtt("b", 4, 3);
  metrics.rtt("b", 4, undefined);
  metrics.rtt("c", 6, 2);
  metrics.forget("c", 6);
  expect((await metrics.text()).match(/^tsnet_overlay_peer_.*/gm)).toEqual([
    'tsnet_overlay_peer_reachable{peer="a",ip_family="IPv4"} 1',
    'tsnet_overlay_peer_reachable{peer="b",ip_family="IPv4"} 0',
    'tsnet_overlay_peer_rtt_seconds{peer="a",ip_family="IPv4"} 0.0015',
  ]);
});

function serve(healthzAddress: string, metricsAddress: string, write = (_line: string) => {}): OverlayMetrics {
  const metrics = new OverlayMetrics();
  const health = new Health({ clock: systemClock, comparePeriod: 30_000, trouble: () => undefined });
  const log = openLog({ format: "json", verbosity: 3, write });
  opened.push(openServers({ settings: { healthzAddress, metricsAddress }, health, metrics, log, clock: systemClock }));
  return metrics;
}

async function statuses(port: number): Promise<Readonly<Record<string, number>>> {
  const entries = ["/healthz", "/readyz", "/metrics", "/"].map(async (path) => {
    const { status } = await fetch(`http://127.0.0.1:${port}${path}`);
    return [path, status] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** Our samples without their prefix, sorted; `none` for a metric that has no sample yet. */
async function lines(metrics: OverlayMetrics): Promise<readonly string[]> {
  const text = await metrics.text();
  const names = [...text.matchAll(/^# TYPE tsnet_overlay_(\S+)/gm)].map(([, name = ""]) => name);
  return names
    .filter((name) => !name.startsWith("peer_") && name !== "last_sync_duration_seconds")
    .flatMap((name) => {
      const samples = [...text.matchAll(new RegExp(`^tsnet_overlay_(${name}(?:{.*})? .*)$`, "gm"))];
      return samples.length === 0 ? [`${name} none`] : samples.map(([, sample = ""]) => sample);
    })
    .toSorted();
}

function handClock(): Clock & { ms: number } {
  const clock = { ms: 0, now: () => clock.ms, wall: () => clock.ms, after: () => () => {} };
  return clock;
}

async function freePort(): Promise<number> {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const { port = 0 } = server;
  await server.stop(true);
  return port;
}
