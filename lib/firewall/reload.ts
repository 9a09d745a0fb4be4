/**
 * Reload: every rule that the state tells of is in the kernel again, after somebody flushed them.
 *
 * @module
 */
import type { FirewallHost } from "./host.ts";

export async function reload(host: FirewallHost): Promise<void> {
  const lock = await host.state.lock();
  try {
    const engines = new Set(host.state.names().map((name) => name.engine));
    for (const name of engines) await host.repair(await host.engine(name), [], () => false, lock);
  } finally {
    lock.release();
  }
}
