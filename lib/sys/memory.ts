/**
 * What this process holds in memory, and giving back what it does not use.
 *
 * @module
 */

/** Resident memory in bytes: VmRSS of proc_pid_status(5). */
export function residentBytes(): number {
  return process.memoryUsage.rss();
}

/** Collects garbage now, and returns free pages to the system. Takes some ms, and tens of ms with 100 MB in use. */
export function collectGarbage(): void {
  Bun.gc(true);
}
