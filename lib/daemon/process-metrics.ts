/**
 * What every Prometheus client tells of its process.
 *
 * prom-client's single files are imported, here and wherever it is used: its front page loads a cluster module and an
 * HTTP client that double what it takes in memory.
 *
 * @module
 */
import Counter from "prom-client/lib/counter.js";
import Gauge from "prom-client/lib/gauge.js";
import type Registry from "prom-client/lib/registry.js";

/** Adds CPU time, memory and start of this process. */
export function addProcessMetrics(registry: InstanceType<typeof Registry>): void {
  const registers = [registry];
  let counted = 0;
  new Counter({
    name: "process_cpu_seconds_total",
    help: "User and system CPU time spent in seconds",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      const now = (user + system) / 1e6;
      this.inc(now - counted);
      counted = now;
    },
  });
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size in bytes",
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: "process_start_time_seconds",
    help: "Start time since 1970 in seconds",
    registers,
  }).set(Date.now() / 1000);
}
