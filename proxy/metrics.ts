/**
 * What a monitoring system reads: kube-proxy's own metrics under their names, types and buckets, as people have
 * alerts on them, and a few of ours, `tsnet_proxy_*`.
 *
 * @module
 */
import Counter from "prom-client/lib/counter.js";
import Gauge from "prom-client/lib/gauge.js";
import Histogram from "prom-client/lib/histogram.js";
import Registry from "prom-client/lib/registry.js";
import { addProcessMetrics } from "../lib/daemon/process-metrics.ts";
import type { ProxyMode } from "./backend.ts";
import type { AuditResult } from "./sync/audit.ts";
import type { FamilyResult } from "./sync/family.ts";

/** The label `ip_family`. */
export function familyLabel(family: 4 | 6): "IPv4" | "IPv6" {
  return family === 4 ? "IPv4" : "IPv6";
}

const doubling = (start: number, count: number) => Array.from({ length: count }, (_, i) => start * 2 ** i);
const steps = (start: number, width: number, count: number) =>
  Array.from({ length: count }, (_, i) => start + i * width);
const SYNC_SECONDS = doubling(0.001, 15);
const PROGRAMMING_SECONDS = [...steps(0.25, 0.25, 2), ...steps(1, 1, 59), ...steps(60, 5, 12), ...steps(120, 30, 7)];

export interface Waiting {
  /** Changes that no sync has taken yet. */
  readonly services: number;
  readonly endpoints: number;
  /** Objects that cannot be read. */
  readonly malformed: number;
  /** By kind of object, whether changes are heard of. */
  readonly connected: ReadonlyMap<string, boolean>;
}

export interface ProxyMetricsOptions {
  readonly mode: ProxyMode;
  readonly families: readonly (4 | 6)[];
  /** Asked at each scrape. */
  readonly waiting: () => Waiting;
}

export class ProxyMetrics {
  readonly #registry = new Registry();
  readonly #startedAt = Date.now();

  readonly #sync = this.#histogram("sync_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds");
  readonly #full = this.#histogram(
    "sync_full_proxy_rules_duration_seconds",
    "SyncProxyRules latency in seconds for full resyncs",
  );
  readonly #partial = this.#histogram(
    "sync_partial_proxy_rules_duration_seconds",
    "SyncProxyRules latency in seconds for partial resyncs",
  );
  readonly #programming = this.#histogram(
    "network_programming_duration_seconds",
    "In Cluster Network Programming Latency in seconds",
    PROGRAMMING_SECONDS,
  );
  readonly #last = this.#gauge("sync_proxy_rules_last_timestamp_seconds", "The last time rules were synced");
  readonly #queued = this.#gauge(
    "sync_proxy_rules_last_queued_timestamp_seconds",
    "The last time a sync of rules was queued",
  );
  readonly #endpointsTotal = this.#counter("sync_proxy_rules_endpoint_changes_total", "EndpointSlice changes", []);
  readonly #servicesTotal = this.#counter("sync_proxy_rules_service_changes_total", "Service changes", []);
  readonly #noLocal = this.#gauge(
    "sync_proxy_rules_no_local_endpoints_total",
    "Services with a Local traffic policy and no endpoint on this node",
    ["traffic_policy", "ip_family"],
  );
  readonly #failures: Counter<string>;
  readonly #partialFailures: Counter<string> | undefined;
  readonly #healthz = this.#counter("proxy_healthz_total", "Answers to /healthz by HTTP status", ["code"]);
  readonly #livez = this.#counter("proxy_livez_total", "Answers to /livez by HTTP status", ["code"]);
  readonly #flowSeconds = this.#histogram(
    "conntrack_reconciler_sync_duration_seconds",
    "Duration of one round of deleting stale flows in seconds",
  );
  readonly #flows = this.#counter("conntrack_reconciler_deleted_entries_total", "Stale flows that were deleted");

  readonly #elements = this.#counter(
    "written_elements_total",
    "Elements or rules that were sent to the kernel",
    undefined,
    OWN,
  );
  readonly #repairs = this.#counter(
    "repairs_total",
    "Times that rules were put back which somebody took away",
    undefined,
    OWN,
  );
  readonly #audits = this.#counter("audits_total", "Audits by how they ended", ["ip_family", "result"], OWN);
  readonly #auditDifferences = this.#counter(
    "audit_differences_total",
    "Rules that an audit found missing or too much",
    undefined,
    OWN,
  );
  readonly #refused = this.#gauge(
    "refused_services",
    "Services left out because the kernel refuses their rules",
    undefined,
    OWN,
  );
  constructor({ mode, families, waiting }: ProxyMetricsOptions) {
    if (mode === "iptables") {
      this.#failures = this.#counter("sync_proxy_rules_iptables_restore_failures_total", "Failed iptables restores");
      this.#partialFailures = this.#counter(
        "sync_proxy_rules_iptables_partial_restore_failures_total",
        "Failed iptables restores of single changes, each followed by one of everything",
      );
    } else {
      this.#failures = this.#counter("sync_proxy_rules_nftables_sync_failures_total", "Failed nftables transactions");
    }
    // A counter that is not there until the first failure makes a poor alert.
    for (const family of families) {
      this.#failures.inc(labelsOf(family), 0);
      this.#repairs.inc(labelsOf(family), 0);
      this.#auditDifferences.inc(labelsOf(family), 0);
    }
    this.#addWaiting(waiting);
    this.#addConnected(waiting);
    addProcessMetrics(this.#registry);
    this.#gauge("info", "Always 1; the label tells the mode", ["mode"], OWN).set({ mode }, 1);
  }

  /** The text that Prometheus scrapes, and its content type. */
  async text(): Promise<{ readonly body: string; readonly type: string }> {
    return { body: await this.#registry.metrics(), type: this.#registry.contentType };
  }

  /** A sync of this family was asked for. */
  queued(family: 4 | 6): void {
    this.#queued.set(labelsOf(family), Date.now() / 1000);
  }

  /** A sync has taken changes. */
  taken(services: number, endpoints: number): void {
    this.#servicesTotal.inc(services);
    this.#endpointsTotal.inc(endpoints);
  }

  synced(result: FamilyResult): void {
    const labels = labelsOf(result.family);
    this.#refused.set(labels, result.refused.size);
    if (result.kind === "postponed") return;
    if (result.kind === "failed") {
      this.#failures.inc(labels);
      if (!result.whole) this.#partialFailures?.inc(labels);
      return;
    }
    const seconds = result.ms / 1000;
    this.#sync.observe(labels, seconds);
    if (result.kind === "full") this.#full.observe(labels, seconds);
    if (result.kind === "partial") this.#partial.observe(labels, seconds);
    this.#last.set(labels, Date.now() / 1000);
    this.#elements.inc(labels, result.written);
  }

  /** What was triggered at `triggers`, ms since 1970, is in place now. What is older than this process is not its doing. */
  programmed(family: 4 | 6, triggers: readonly number[]): void {
    const now = Date.now();
    for (const trigger of triggers) {
      if (trigger >= this.#startedAt) this.#programming.observe(labelsOf(family), Math.max(0, now - trigger) / 1000);
    }
  }

  noLocalEndpoints(
    family: 4 | 6,
    { internal, external }: { readonly internal: number; readonly external: number },
  ): void {
    this.#noLocal.set({ ...labelsOf(family), traffic_policy: "internal" }, internal);
    this.#noLocal.set({ ...labelsOf(family), traffic_policy: "external" }, external);
  }

  healthz(code: number): void {
    this.#healthz.inc({ code });
  }

  livez(code: number): void {
    this.#livez.inc({ code });
  }

  flowsDeleted(family: 4 | 6, count: number, ms: number): void {
    this.#flows.inc(labelsOf(family), count);
    this.#flowSeconds.observe(labelsOf(family), ms / 1000);
  }

  repaired(family: 4 | 6): void {
    this.#repairs.inc(labelsOf(family));
  }

  audited(family: 4 | 6, result: AuditResult, differences: number): void {
    this.#audits.inc({ ...labelsOf(family), result });
    this.#auditDifferences.inc(labelsOf(family), differences);
  }

  #histogram(name: string, help: string, buckets = SYNC_SECONDS): Histogram<string> {
    return new Histogram({
      name: KUBE_PROXY + name,
      help,
      buckets,
      labelNames: ["ip_family"],
      registers: [this.#registry],
    });
  }

  #gauge(name: string, help: string, labelNames: string[] = ["ip_family"], prefix = KUBE_PROXY): Gauge<string> {
    return new Gauge({ name: prefix + name, help, labelNames, registers: [this.#registry] });
  }

  #counter(name: string, help: string, labelNames: string[] = ["ip_family"], prefix = KUBE_PROXY): Counter<string> {
    return new Counter({ name: prefix + name, help, labelNames, registers: [this.#registry] });
  }

  #addConnected(waiting: () => Waiting): void {
    new Gauge({
      name: `${OWN}source_connected`,
      help: "Whether changes of a kind of object are heard of: 1 or 0",
      labelNames: ["kind"],
      registers: [this.#registry],
      collect() {
        for (const [kind, up] of waiting().connected) this.set({ kind }, up ? 1 : 0);
      },
    });
  }

  #addWaiting(waiting: ProxyMetricsOptions["waiting"]): void {
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(value());
        },
      });
    const name = (what: string) => `${KUBE_PROXY}sync_proxy_rules_${what}_changes_pending`;
    gauge(name("service"), "Service changes that are not synced yet", () => waiting().services);
    gauge(name("endpoint"), "EndpointSlice changes that are not synced yet", () => waiting().endpoints);
    gauge(`${OWN}malformed_objects`, "Objects left out because they cannot be read", () => waiting().malformed);
  }
}

const KUBE_PROXY = "kubeproxy_";
const OWN = "tsnet_proxy_";

function labelsOf(family: 4 | 6): { readonly ip_family: string } {
  return { ip_family: familyLabel(family) };
}
