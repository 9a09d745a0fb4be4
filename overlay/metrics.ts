/**
 * What a monitoring system reads of the agent, `tsnet_overlay_*`.
 *
 * Worth an alert: `source_connected` 0 for long, `refused_leases` above 0, `repairs_total` that goes on rising,
 * `sync_age_seconds` above some periods, `peer_reachable` 0, and `lease_expires_timestamp_seconds` in the past.
 *
 * @module
 */
import Counter from "prom-client/lib/counter.js";
import Gauge from "prom-client/lib/gauge.js";
import Registry from "prom-client/lib/registry.js";
import { addProcessMetrics } from "../lib/daemon/process-metrics.ts";
import type { Family } from "../lib/net/address.ts";

/** Of what {@link OverlayMetrics.text} returns. */
export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

export class OverlayMetrics {
  readonly #registry = new Registry();
  readonly #peers = this.#gauge("peers", "Hosts that this one is connected to");
  readonly #refused = this.#gauge("refused_leases", "Records of hosts that are not used, or not wholly");
  readonly #ready = this.#gauge("ready", "Whether containers can be attached: 1 or 0");
  readonly #connected = this.#gauge("source_connected", "Whether changes of hosts are heard of: 1 or 0");
  readonly #repairs = this.#counter("repairs_total", "Entries that were put right after somebody changed them", [
    "kind",
  ]);
  readonly #syncs = this.#counter("syncs_total", "Comparisons of everything with the kernel");
  readonly #syncSeconds = this.#gauge("last_sync_duration_seconds", "What the last comparison took");
  readonly #answers = this.#gauge("peer_reachable", "Whether a peer answered when it was last asked: 1 or 0", [
    "peer",
    "ip_family",
  ]);
  readonly #roundTrip = this.#gauge("peer_rtt_seconds", "Round-trip time to a peer that answers", [
    "peer",
    "ip_family",
  ]);
  // Unix time of the last comparison, and of the lease's end.
  #synced: number | undefined;
  #expires: number | undefined;

  constructor() {
    // A counter that is not there until the first repair makes a poor alert.
    for (const kind of KINDS) this.#repairs.inc({ kind }, 0);
    const age = () => (this.#synced === undefined ? undefined : (Date.now() - this.#synced) / 1000);
    this.#asked("sync_age_seconds", "Time since the last comparison of everything with the kernel", age);
    const expires = () => (this.#expires === undefined ? undefined : this.#expires / 1000);
    this.#asked("lease_expires_timestamp_seconds", "When our lease ends unless it is renewed, since 1970", expires);
    addProcessMetrics(this.#registry);
  }

  peers(count: number): void {
    this.#peers.set(count);
  }

  refused(count: number): void {
    this.#refused.set(count);
  }

  ready(ready: boolean): void {
    this.#ready.set(ready ? 1 : 0);
  }

  connected(up: boolean): void {
    this.#connected.set(up ? 1 : 0);
  }

  repaired(kind: RepairKind, count: number): void {
    this.#repairs.inc({ kind }, count);
  }

  /** Everything has been compared with the kernel, in `ms`. */
  synced(ms: number): void {
    this.#synced = Date.now();
    this.#syncs.inc();
    this.#syncSeconds.set(ms / 1000);
  }

  /** Ms since 1970; undefined for a lease that lasts, or for none. */
  leaseExpires(at: number | undefined): void {
    this.#expires = at;
  }

  /** A peer's round-trip time in ms, by addresses of that family; undefined: it did not answer. */
  rtt(peer: string, family: Family, ms: number | undefined): void {
    const labels = labelsOf(peer, family);
    this.#answers.set(labels, ms === undefined ? 0 : 1);
    if (ms === undefined) this.#roundTrip.remove(labels);
    else this.#roundTrip.set(labels, ms / 1000);
  }

  /** A peer that is none any more. */
  forget(peer: string, family: Family): void {
    const labels = labelsOf(peer, family);
    this.#answers.remove(labels);
    this.#roundTrip.remove(labels);
  }

  /** The text that Prometheus scrapes. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge<string> {
    return new Gauge({ name: PREFIX + name, help, labelNames, registers: [this.#registry] });
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter<string> {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.#registry] });
  }

  /** A value that is looked up at each scrape; left out while there is none. */
  #asked(name: string, help: string, value: () => number | undefined): void {
    new Gauge({
      name: PREFIX + name,
      help,
      registers: [this.#registry],
      collect() {
        const now = value();
        // A gauge without labels shows its last value until it is removed.
        if (now === undefined) this.remove();
        else this.set(now);
      },
    });
  }
}

/** What a repair is of: an entry of the kernel's (overlay/kernel/fabric.ts), or what there is beside: the packet filter's rules, forwarding, files. */
type RepairKind = (typeof KINDS)[number];

const KINDS = ["device", "address", "route", "neighbour", "fdb", "rules", "sysctl", "file"] as const;
const PREFIX = "tsnet_overlay_";

function labelsOf(peer: string, family: Family) {
  return { peer, ip_family: `IPv${family}` };
}
