/**
 * Reload: every rule that the state tells of is in the kernel again, after somebody flushed them; and whether that
 * is needed.
 *
 * @module
 */
import type { FirewallHost } from "./host.ts";
import type { Entry } from "./record.ts";
import { missingSysctls } from "./sysctls.ts";

export async function reload(host: FirewallHost): Promise<void> {
  const lock = await host.state.lock();
  try {
    const engines = new Set(host.state.names().map((name) => name.engine));
    for (const name of engines) await host.repair(await host.keeper(name), [], () => false, lock);
  } finally {
    lock.release();
  }
}

/**
 * What the state tells of and is not there, in the words of the engines. Changes nothing, and keeps nobody waiting
 * while it looks: what another call is about to make may be among it.
 */
export async function missing(host: FirewallHost): Promise<readonly string[]> {
  const entries = await recorded(host);
  const found: string[] = [];
  for (const engine of new Set(entries.map((entry) => entry.engine))) {
    // It drops nothing, and there is nothing to put back.
    if (engine === "firewalld" && !(await (await host.tools.firewalld()).isRunning())) continue;
    const mine = entries.filter((entry) => entry.engine === engine);
    found.push(...(await (await host.keeper(engine)).missing(mine)));
  }
  const published = entries.filter(({ part }) => part === "publish");
  return [...found, ...missingSysctls(host.state, published)];
}

async function recorded(host: FirewallHost): Promise<readonly Entry[]> {
  const lock = await host.state.lock();
  try {
    return host.state.read(host.state.names());
  } finally {
    lock.release();
  }
}
